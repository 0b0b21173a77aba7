"""The resource and the service's own pages."""
