"""Where the resource is."""

from __future__ import annotations

from typing import Final

BASE: Final = "/api/consciousness/sigils"
