"""The soak and its verdict."""
