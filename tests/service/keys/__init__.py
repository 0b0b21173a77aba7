"""Keys that change while the service runs."""
