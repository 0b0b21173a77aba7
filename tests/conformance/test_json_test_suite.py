"""JSONTestSuite, judged as a strict RFC 8785 canonicalizer of text must judge it."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import CanonicalizationError, DuplicateNameError, IntegerRangeError
from tests.shared_data import shared
from tests.text_backends import Canonicalize, implementations

IMPLEMENTATIONS = implementations()
EXPECTATIONS: dict[str, dict[str, Any]] = json.loads(
    shared("json-test-suite", "jcs-expectations.json").read_text()
)["files"]


@pytest.fixture(params=IMPLEMENTATIONS)
def canonicalize(request: pytest.FixtureRequest) -> Canonicalize:
    """Each implementation in turn."""
    return IMPLEMENTATIONS[request.param]


def read(name: str) -> bytes:
    """A file of the suite."""
    return shared("json-test-suite", name).read_bytes()


def test_the_whole_suite_is_judged() -> None:
    """Every file of the suite has an expectation, so that none is passed over."""
    names = {f"test_parsing/{path.name}" for path in shared("json-test-suite", "test_parsing").iterdir()}
    assert names == set(EXPECTATIONS)


def test_accepted_files(canonicalize: Canonicalize) -> None:
    """What is valid I-JSON has the canonical form that an ECMAScript engine gives it."""
    for name, facts in EXPECTATIONS.items():
        if facts["jcs"] != "accept":
            continue
        canonical = canonicalize(read(name))
        assert hashlib.sha256(canonical).hexdigest() == facts["canonical_sha256"], name


def test_rejected_files(canonicalize: Canonicalize) -> None:
    """What has no canonical form is refused, at a place within the text."""
    for name, facts in EXPECTATIONS.items():
        if facts["jcs"] != "reject":
            continue
        text = read(name)
        with pytest.raises(CanonicalizationError) as caught:
            canonicalize(text)
        assert caught.value.offset is not None, name
        assert 0 <= caught.value.offset <= len(text), name


def test_policy_files(canonicalize: Canonicalize) -> None:
    """Noncharacters and underflow are accepted; unsafe integers only in exact mode, digit for digit."""
    for name, facts in EXPECTATIONS.items():
        if facts["jcs"] != "policy":
            continue
        text = read(name)
        if "integers_beyond_2_53" in facts:
            with pytest.raises(IntegerRangeError):
                canonicalize(text)
            assert canonicalize(text, integers="exact") == text.strip(), name
        else:
            assert canonicalize(text) == facts["canonical"].encode(), name


def test_values_of_accepted_files(library: SimpleNamespace) -> None:
    """The door for Python values gives the same bytes for the value that Python reads from a text."""
    for name, facts in EXPECTATIONS.items():
        if facts["jcs"] == "reject" or "integers_beyond_2_53" in facts:
            continue
        canonical = library.canonicalize(json.loads(read(name)))
        assert hashlib.sha256(canonical).hexdigest() == facts["canonical_sha256"], name


def test_values_of_rejected_files(library: SimpleNamespace) -> None:
    """What Python reads although it has no canonical form is refused as a Python value too."""
    judged = 0
    for name, facts in EXPECTATIONS.items():
        # Python's reader drops duplicates, byte order marks and encodings: their values are fine.
        if facts["jcs"] == "accept" or facts["why"] in {
            "duplicate member names",
            "byte order mark",
            "not UTF-8",
        }:
            continue
        if facts["jcs"] == "policy" and "integers_beyond_2_53" not in facts:
            continue
        try:
            value = json.loads(read(name))
        except (ValueError, RecursionError):
            continue
        judged += 1
        with pytest.raises(CanonicalizationError):
            library.canonicalize(value)
    assert judged >= 15


def test_names_equal_after_unescaping(canonicalize: Canonicalize) -> None:
    """A case that the suite lacks: two spellings of one member name are duplicates."""
    with pytest.raises(DuplicateNameError) as caught:
        canonicalize(b'{"a":1,"\\u0061":2}')
    assert (caught.value.offset, caught.value.pointer) == (7, "/a")
