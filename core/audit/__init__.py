"""The audit log: one chain of lines for all processes of a host."""
