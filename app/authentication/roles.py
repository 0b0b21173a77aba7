"""What a token can allow."""

from __future__ import annotations

from typing import Final

ROLES: Final = ("sigil:encode", "sigil:verify", "sigil:read", "sigil:revoke")
