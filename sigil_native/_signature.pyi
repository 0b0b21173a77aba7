from typing import Literal

from sigil_native._hashing import HmacKey

def sign_event(
    payload: object,
    key: HmacKey | str | bytes | bytearray | memoryview,
    *,
    text: Literal["jcs", "json-stringify"] = "jcs",
) -> str: ...
def verify_event(
    payload: object,
    signature: str | bytes | bytearray | memoryview,
    key: HmacKey | str | bytes | bytearray | memoryview,
    *,
    text: Literal["jcs", "json-stringify"] = "jcs",
) -> bool: ...
