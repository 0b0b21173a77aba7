"""Load for hours, faults on purpose, and a verdict."""
