"""What a client's certificate says that it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

#: The kinds of subject alternative names that name a client: host names, and URIs as SPIFFE has them.
_KINDS: Final = frozenset({"DNS", "URI"})


def names_of(certificate: Mapping[str, Any]) -> Sequence[str]:
    """The names that a certificate proves, as ``ssl.SSLSocket.getpeercert`` has decoded it.

    Its alternative names of the kinds DNS and URI; where it has none of these, its subject's common name, if
    there is exactly one. Names are taken as they stand, and compared byte for byte.
    """
    alternatives = _values(certificate.get("subjectAltName", ()), _KINDS)
    if alternatives:
        return alternatives
    parts = (part for parts in certificate.get("subject", ()) for part in parts)
    common = _values(parts, {"commonName"})
    return common if len(common) == 1 else ()


def _values(pairs: Iterable[tuple[str, str]], kinds: Iterable[str]) -> tuple[str, ...]:
    wanted = frozenset(kinds)
    return tuple(dict.fromkeys(value for kind, value in pairs if kind in wanted))
