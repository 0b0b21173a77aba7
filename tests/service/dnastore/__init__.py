"""The DNAStore: its server and its client."""
