"""JSONTestSuite, judged as a strict RFC 8785 canonicalizer of text must judge it."""

from __future__ import annotations

import json
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
        if "canonical" in facts:
            assert canonical == facts["canonical"].encode(), name
        assert len(canonical) == facts["canonical_len"], name


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


def test_names_equal_after_unescaping(canonicalize: Canonicalize) -> None:
    """A case that the suite lacks: two spellings of one member name are duplicates."""
    with pytest.raises(DuplicateNameError) as caught:
        canonicalize(b'{"a":1,"\\u0061":2}')
    assert (caught.value.offset, caught.value.pointer) == (7, "/a")
