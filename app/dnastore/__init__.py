"""The DNAStore server: a store for other processes, over mutual TLS."""
