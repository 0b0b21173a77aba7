"""HKDF-SHA-256 against RFC 5869's test cases (appendix A.1 to A.3)."""

from __future__ import annotations

from sigil_native._hashing import hkdf_sha256, hmac_sha256, kernels
from tests.shared_data import nist_records


def cases() -> list[dict[str, str]]:
    """The RFC's test cases, each a record with IKM, salt, info, L, PRK and OKM."""
    return [
        record for record in _joined(nist_records("rfc5869", "rfc-5869-HKDF-SHA256.txt")) if "OKM" in record
    ]


def _joined(records: list[dict[str, str]]) -> list[dict[str, str]]:
    # The file has blank lines within a case; COUNT begins each.
    joined: list[dict[str, str]] = []
    for record in records:
        if "COUNT" in record:
            joined.append({})
        joined[-1].update(record)
    return joined


def test_output() -> None:
    """Each case's output keying material, also for an empty salt and info."""
    assert len(cases()) == 3
    for case in cases():
        secret, salt, info = (bytes.fromhex(case[name]) for name in ("IKM", "salt", "info"))
        assert hkdf_sha256(secret, salt=salt, info=info, length=int(case["L"])).hex() == case["OKM"]


def test_extraction() -> None:
    """Each case's pseudorandom key is HMAC(salt, secret), through every kernel."""
    for kernel in kernels():
        for case in cases():
            salt, secret = bytes.fromhex(case["salt"]), bytes.fromhex(case["IKM"])
            assert hmac_sha256(salt, secret, kernel=kernel).hex() == case["PRK"]
