"""SHA-256 against the vectors of NIST's validation program (CAVP), through every kernel."""

from __future__ import annotations

import pytest

from sigil_native._hashing import kernels, sha256
from tests.shared_data import nist_records

EVERY_KERNEL = pytest.mark.parametrize("kernel", kernels())


@EVERY_KERNEL
@pytest.mark.parametrize(("file", "count"), [("SHA256ShortMsg.rsp", 65), ("SHA256LongMsg.rsp", 64)])
def test_messages(file: str, count: int, kernel: str) -> None:
    """Every message of the file has the digest that NIST published."""
    records = [record for record in nist_records("nist-cavp", "sha256", file) if "Msg" in record]
    assert len(records) == count
    for record in records:
        message = bytes.fromhex(record["Msg"])[: int(record["Len"]) // 8]
        assert sha256(message, kernel=kernel).hex() == record["MD"], record["Len"]


@EVERY_KERNEL
def test_monte_carlo(kernel: str) -> None:
    """A hundred chains of a thousand digests, each of the last three, end where NIST's do."""
    records = nist_records("nist-cavp", "sha256", "SHA256Monte.rsp")
    seed = bytes.fromhex(records[0]["Seed"])
    answers = [record["MD"] for record in records if "MD" in record]
    assert len(answers) == 100
    for answer in answers:
        oldest = older = newest = seed
        for _ in range(1000):
            oldest, older, newest = older, newest, sha256(oldest + older + newest, kernel=kernel)
        seed = newest
        assert seed.hex() == answer
