"""The doors to canonical JSON: from text, from Python values, and as ECMAScript writes it."""

from __future__ import annotations

from sigil_native._pure.json_text import canonicalize_json
from sigil_native._pure.json_values import canonicalize, stringify

__all__ = ["canonicalize", "canonicalize_json", "stringify"]
