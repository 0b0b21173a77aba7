"""HMAC-SHA-256 against NIST's, Wycheproof's and RFC 4231's vectors, through every kernel."""

from __future__ import annotations

import json

import pytest

from sigil_native._hashing import HmacKey, hmac_sha256, kernels
from tests.shared_data import nist_records, shared

EVERY_KERNEL = pytest.mark.parametrize("kernel", kernels())

# RFC 4231 §4.2 to §4.8: key, data, tag (case 5: its first 16 bytes).
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]


@EVERY_KERNEL
@pytest.mark.parametrize(("key", "data", "tag"), RFC_4231)
def test_rfc_4231(key: bytes, data: bytes, tag: str, kernel: str) -> None:
    """The RFC's examples give the RFC's tags."""
    assert hmac_sha256(key, data, kernel=kernel).hex()[: len(tag)] == tag


@EVERY_KERNEL
def test_nist(kernel: str) -> None:
    """NIST's tags, truncated as the file says, for keys below, at and above a block's size."""
    records = [record for record in nist_records("nist-cavp", "hmac", "HMAC-L32.rsp") if "Mac" in record]
    assert len(records) == 225
    for record in records:
        key, message = bytes.fromhex(record["Key"]), bytes.fromhex(record["Msg"])
        assert len(key) == int(record["Klen"])
        tag = hmac_sha256(key, message, kernel=kernel)[: int(record["Tlen"])]
        assert tag.hex() == record["Mac"], record["Count"]


@EVERY_KERNEL
def test_wycheproof(kernel: str) -> None:
    """Valid tags are reproduced; modified ones are not."""
    groups = json.loads(shared("wycheproof", "hmac_sha256_test.json").read_bytes())["testGroups"]
    assert sum(len(group["tests"]) for group in groups) == 174
    for group in groups:
        for test in group["tests"]:
            tag = hmac_sha256(bytes.fromhex(test["key"]), bytes.fromhex(test["msg"]), kernel=kernel)
            right = tag[: group["tagSize"] // 8].hex() == test["tag"]
            assert right == (test["result"] == "valid"), test["tcId"]


def test_wycheproof_through_keys() -> None:
    """HmacKey agrees about every full-length tag, alone and in one batch for each key."""
    groups = json.loads(shared("wycheproof", "hmac_sha256_test.json").read_bytes())["testGroups"]
    full = [test for group in groups if group["tagSize"] == 256 for test in group["tests"]]
    tried = [test for test in full if len(test["key"]) >= 64]
    assert len(tried) == 84
    for test in tried:
        key, message = HmacKey(bytes.fromhex(test["key"])), bytes.fromhex(test["msg"])
        assert key.verify(message, bytes.fromhex(test["tag"])) == (test["result"] == "valid")
        assert key.digest_many([message] * 3) == [key.digest(message)] * 3
