"""Public test vectors."""
