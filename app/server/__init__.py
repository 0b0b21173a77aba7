"""Sockets, connections and processes."""
