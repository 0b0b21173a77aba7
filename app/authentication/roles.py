"""What a token can allow."""

from __future__ import annotations

from typing import Final

ENCODE_ROLE: Final = "sigil:encode"
VERIFY_ROLE: Final = "sigil:verify"
READ_ROLE: Final = "sigil:read"
REVOKE_ROLE: Final = "sigil:revoke"
ROLES: Final = (ENCODE_ROLE, VERIFY_ROLE, READ_ROLE, REVOKE_ROLE)
