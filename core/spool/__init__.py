"""A local queue of writes for a store that may be away."""
