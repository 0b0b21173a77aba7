"""Rate limits: what callers may ask for, and who keeps count."""
