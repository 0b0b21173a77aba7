"""The behaviour of each part, on both backends where both have it."""
