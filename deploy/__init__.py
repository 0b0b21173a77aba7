"""What a first try of the Compose file needs."""
