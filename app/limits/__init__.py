"""Rate limits of HTTP requests."""
