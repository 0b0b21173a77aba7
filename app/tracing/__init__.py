"""Traces for OpenTelemetry. Nothing here is imported while they are off, but ``opening``."""
