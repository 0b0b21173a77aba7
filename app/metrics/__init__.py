"""What Prometheus reads of the service, at an address of its own."""
