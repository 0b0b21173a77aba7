"""Tokens, issuers and their keys."""
