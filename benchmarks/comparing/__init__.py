"""Compares the working tree with a revision: both at once on one core, so that noise meets both."""
