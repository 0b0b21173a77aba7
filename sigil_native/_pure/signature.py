"""Event signatures: the hex of an HMAC over the event's text, without a header.

Those of Node programs, ``createHmac("sha256", secret).update(JSON.stringify(event))``,
are the ones with ``text="json-stringify"``.
"""

from __future__ import annotations

import hmac
import re

from sigil_native._arguments import check_signed_text
from sigil_native._pure.hashing import HmacKey
from sigil_native._pure.json_values import canonicalize, stringify

_SIGNATURE = re.compile(rb"[0-9a-f]{64}")

Secret = HmacKey | str | bytes | bytearray | memoryview


def sign_event(payload: object, key: Secret, *, text: str = "jcs") -> str:
    """Sign an event.

    Args:
        payload: a value that ``canonicalize`` accepts.
        key: an ``HmacKey``, or a secret of at least 32 bytes as it takes one.
        text: ``"jcs"`` signs the RFC 8785 form; ``"json-stringify"`` the bytes of
            ECMAScript's ``JSON.stringify(payload)``.

    Returns:
        HMAC-SHA-256 as 64 lower-case hex characters.

    Raises:
        CanonicalizationError: the payload has no such text.
        WeakSecretError: the secret is too short.
        InvalidOptionError: ``text`` is unknown.
        TypeError: an argument has a wrong type.
    """
    check_signed_text(text)
    hmac_key = key if isinstance(key, HmacKey) else HmacKey(key)
    return hmac_key.hexdigest(canonicalize(payload) if text == "jcs" else stringify(payload))


def verify_event(
    payload: object,
    signature: str | bytes | bytearray | memoryview,
    key: Secret,
    *,
    text: str = "jcs",
) -> bool:
    """Whether an event's signature is right; compared in constant time.

    A signature that is not 64 lower-case hex characters is wrong.

    Raises:
        SigilError: as for ``sign_event``.
        TypeError: an argument has a wrong type.
    """
    claimed = _signature_bytes(signature)
    actual = sign_event(payload, key, text=text).encode()
    return _SIGNATURE.fullmatch(claimed) is not None and hmac.compare_digest(actual, claimed)


def _signature_bytes(signature: object) -> bytes:
    if isinstance(signature, str):
        return signature.encode("utf-8", "surrogatepass")
    try:
        return memoryview(signature).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"signature must be str or bytes-like, not {type(signature).__name__}") from None
