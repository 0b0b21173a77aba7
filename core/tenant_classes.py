"""The file that puts tenants into a few classes, for metrics: a tenant's name must not be in these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from core.plain_files import read_plain
from core.tenants import is_tenant
from sigil_native import CanonicalizationError, canonicalize_json

#: The class of tenants that are in no other.
DEFAULT_CLASS: Final = "default"
_MOST: Final = 16
_LARGEST_FILE: Final = 16 << 20

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,32}\Z")]
_decoder: Final = msgspec.json.Decoder(dict[_Name, list[str]])


def read_tenant_classes(path: Path) -> Mapping[str, str]:
    """The class of each tenant that the file names, which looks like ``{"gold": ["acme"]}``.

    Raises:
        ValueError: saying what is wrong with the file; no value of it is shown.
    """
    try:
        # Refuses duplicate members, of which JSON readers would take one or the other.
        text = canonicalize_json(read_plain(path, largest=_LARGEST_FILE))
    except CanonicalizationError as error:
        raise ValueError(f"not JSON that can be used: {error.problem}") from None
    try:
        classes = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if len(classes) > _MOST:
        raise ValueError(f"more than {_MOST} classes")
    found: dict[str, str] = {}
    for name, tenants in classes.items():
        for tenant in tenants:
            if not is_tenant(tenant):
                raise ValueError("a tenant has 1 to 128 bytes of UTF-8, without NUL")
            if found.setdefault(tenant, name) != name:
                raise ValueError("a tenant is in two classes")
    return found
