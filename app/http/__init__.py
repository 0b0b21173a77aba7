"""HTTP mechanics: requests in, replies and problems out."""
