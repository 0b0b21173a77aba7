"""Settings, processes, connections, TLS."""
