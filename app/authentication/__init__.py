"""Who calls: bearer tokens, and the public keys that they are checked with."""
