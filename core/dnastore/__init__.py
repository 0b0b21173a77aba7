"""A DNAStore: what it and its clients say to each other, and the client."""
