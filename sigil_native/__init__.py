"""Tamper-evident seals for JSON events, at native speed."""
