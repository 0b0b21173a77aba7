"""The Redis function that decides all limits of a request, and the names it is called with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from core.limits.interface import Limit

#: Goes up with every change of the source, here and there, so that old and new versions of the service can
#: run beside each other. Keys have no version: what a key holds must stay readable for both.
VERSION: Final = 1
NAME: Final = f"sigil_take_{VERSION}"
SOURCE: Final = Path(__file__).with_name("redis_function.lua").read_text(encoding="utf-8")

#: What Redis says where the function is not loaded.
MISSING: Final = "Function not found"

_SAFE: Final = "._~@|+=,-"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~@|+=,-]{1,160}")


@lru_cache(1 << 14)
def written(name: str) -> str:
    """A name without braces, colons and what else has a meaning in keys. No two names are written alike."""
    if _PLAIN.fullmatch(name):
        return name
    text = quote(name, safe=_SAFE, errors="surrogatepass")
    if len(text) <= 160:
        return text
    # No other name has this mark, because it would be quoted.
    return "#" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(1 << 12)
def hash_tag(group: str) -> str:
    """What decides in which slot of a cluster the keys of a group are. Never empty, which would be no tag."""
    return "{sigil:" + written(group) + "}"


def keys_of(tag: str, limits: Sequence[Limit]) -> list[str]:
    """The limits' keys in Redis."""
    return [f"{tag}:{written(limit.name)}:{written(limit.key)}" for limit in limits]
