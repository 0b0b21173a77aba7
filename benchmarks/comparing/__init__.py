"""Compares the working tree with a revision: both at the same time on the same core, so that noise meets both."""
