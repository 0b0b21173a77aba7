"""Histories: what a tenant's records went through, chained so that nothing of it can be taken away unseen."""
