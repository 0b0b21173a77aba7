"""The HTTP service over the domain in ``core``."""
