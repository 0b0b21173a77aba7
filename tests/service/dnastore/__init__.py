"""The DNAStore server, and clients of it."""
