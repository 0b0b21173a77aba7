"""Writing audit logs: what a line is, and when none is made."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from sigil_native import AuditLine, canonicalize
from sigil_native.errors import (
    AuditFormatError,
    DocumentTooLargeError,
    IntegerRangeError,
    InvalidOptionError,
    UnsupportedTypeError,
    WeakSecretError,
)
from tests.audit_logs import SECRET, ZEROS, begin_text, key_id_of, make_line, make_lines, spelled, tag_of
from tests.unit.loud import LoudDict, Twin

LAST = 2**53 - 1
TAG = bytes(range(32))


def problem(call: Any, *arguments: Any) -> str:
    """What an AuditFormatError says is wrong."""
    with pytest.raises(AuditFormatError) as caught:
        call(*arguments)
    assert str(caught.value)
    assert caught.value.code == "audit_format"
    return caught.value.problem


def test_lines_are_those_of_the_definition(library: SimpleNamespace) -> None:
    """Begin lines and others are byte for byte what HMAC and HKDF of the standard library give."""
    chain = library.AuditChain(SECRET)
    assert (chain.sequence, chain.tag, f"{chain.key_id:08x}") == (0, ZEROS, key_id_of(SECRET))
    first, tag = make_line(begin_text(1, ZEROS) + ',"host":"a"', ZEROS)
    assert chain.begin({"host": "a"}) == first
    second, tag = make_line('{"seq":2,"a":[1,"ü"],"b":1', tag)
    assert chain.append({"b": 1.0, "a": (1, "ü")}) == second
    third, tag = make_line('{"seq":3', tag)
    assert chain.append({}) == third
    fourth, tag = make_line(begin_text(4, tag), tag)
    assert chain.begin({}) == fourth
    assert (chain.sequence, chain.tag) == (4, tag)
    fifth, tag = make_line('{"seq":5,"x":null', tag)
    sixth, tag = make_line('{"seq":6,"y":true', tag)
    assert chain.append_many([{"x": None}, {"y": True}]) == fifth + sixth
    assert chain.append_many([]) == b""
    assert (chain.sequence, chain.tag) == (6, tag)
    for line in (first, second, third, fourth, fifth, sixth):
        json.loads(line)


def test_the_keys_are_not_those_of_sigils(library: SimpleNamespace) -> None:
    """A secret that seals, used for an audit log by mistake, gives another key and another id."""
    chain = library.AuditChain(SECRET)
    assert chain.key_id != library.KeyRing().add(SECRET)
    assert tag_of(chain.begin({})) != library.HmacKey(SECRET).digest(ZEROS + begin_text(1, ZEROS).encode())


def test_a_writer_goes_on_after_a_restart(library: SimpleNamespace) -> None:
    """The last line of a file is all that a new chain needs."""
    lines = make_lines(20)
    last = library.read_audit_line(lines[9])
    chain = library.AuditChain(SECRET, last.sequence, previous=last.tag)
    assert chain.append({"event": "e4", "tenant": "ä"}) == lines[10]
    again = library.AuditChain(SECRET, sequence=10, previous=bytearray(last.tag))
    line = library.read_audit_line(again.begin({}))
    assert line == AuditLine(11, again.tag, again.key_id, last.tag)


def test_members_may_be_any_mapping(library: SimpleNamespace) -> None:
    """A dict's subclass counts by what it holds, another mapping by its items."""
    plain, loud, proxy = (library.AuditChain(SECRET) for _ in range(3))
    expected = plain.begin({"a": 1})
    assert loud.begin(LoudDict({"a": 1})) == expected
    assert proxy.begin(MappingProxyType({"a": 1})) == expected


@pytest.mark.parametrize(
    "name", ["seq", "chain", "format", "key_id", "previous", Twin("seq"), Twin("previous")]
)
def test_the_chains_own_names_are_refused(library: SimpleNamespace, name: str) -> None:
    """No member can be mistaken for what the chain says, whatever its name's class pretends."""
    chain = library.AuditChain(SECRET)
    assert problem(chain.begin, {"a": 1, name: 1}) == "reserved"
    chain.begin({"deeper": {name: 1}, f"{name}2": 1, "Seq": 1})
    assert problem(chain.append_many, [{}, {name: 1}]) == "reserved"
    assert chain.sequence == 1


def test_nothing_moves_on_when_a_line_is_refused(library: SimpleNamespace) -> None:
    """A refused line leaves the chain where it was, also in the middle of a group."""
    chain = library.AuditChain(SECRET)
    assert problem(chain.append, {}) == "not_begun"
    assert problem(chain.append_many, [{}]) == "not_begun"
    chain.begin({})
    before = chain.sequence, chain.tag
    with pytest.raises(IntegerRangeError) as number:
        chain.append({"a": [2**53]})
    assert (number.value.pointer, number.value.index) == ("/a/0", None)
    with pytest.raises(UnsupportedTypeError) as value:
        chain.append_many([{"good": 1}, {"good": 2}, {"bad": object()}])
    assert (value.value.pointer, value.value.index) == ("/bad", 2)
    wrong: Any
    for wrong in (None, [("a", 1)], "text", 1):
        with pytest.raises(TypeError, match="members must be a mapping"):
            chain.append(wrong)
        with pytest.raises(TypeError, match="members must be a mapping"):
            chain.append_many([{}, wrong])
    for wrong in ({"a": 1}, "text", b"", None, 1):
        with pytest.raises(TypeError):
            chain.append_many(wrong)
    assert (chain.sequence, chain.tag) == before


@pytest.mark.parametrize("begin", [True, False])
def test_lines_are_bounded(library: SimpleNamespace, begin: bool) -> None:
    """A line of exactly 64 KiB is made and read, one more byte is refused."""
    chain = library.AuditChain(SECRET)
    chain.begin({})
    make = chain.begin if begin else chain.append
    size = 65536 - len(library.AuditChain(SECRET, 1, chain.tag).begin({}) if begin else chain.append({}))
    room = size - len(',"x":""')
    with pytest.raises(DocumentTooLargeError):
        make({"x": "y" * (room + 1)})
    line = make({"x": "y" * room})
    assert len(line) == 65536
    assert library.read_audit_line(line).sequence == chain.sequence
    assert problem(library.read_audit_line, line.replace(b'"y', b'"yy')) == "too_large"


def test_numbers_end(library: SimpleNamespace) -> None:
    """The last number is the last that every JSON reader keeps; no line follows it."""
    chain = library.AuditChain(SECRET, LAST - 1, TAG)
    assert problem(chain.append_many, [{}, {}]) == "used_up"
    assert chain.append({}).startswith(b'{"seq":9007199254740991,')
    assert problem(chain.append, {}) == problem(chain.begin, {}) == "used_up"


@pytest.mark.parametrize(
    ("sequence", "tag", "error"),
    [
        (-1, TAG, InvalidOptionError),
        (LAST + 1, TAG, InvalidOptionError),
        (0, TAG, InvalidOptionError),
        (1, ZEROS, InvalidOptionError),
        (1, TAG[:31], InvalidOptionError),
        (1, TAG + b"1", InvalidOptionError),
        (True, TAG, TypeError),
        ("1", TAG, TypeError),
        (1.0, TAG, TypeError),
        (1, "x" * 32, TypeError),
        (1, None, TypeError),
    ],
)
def test_wrong_places_are_refused(library: SimpleNamespace, sequence: Any, tag: Any, error: type) -> None:
    """A place that is out of range, or half of one, is an error, never a broken chain."""
    with pytest.raises(error):
        library.AuditChain(SECRET, sequence, tag)
    with pytest.raises(error):
        library.AuditVerifier([SECRET], last=(sequence, tag))


def test_secrets_are_kept(library: SimpleNamespace) -> None:
    """A weak secret is refused; a strong one is not shown, copied or pickled."""
    with pytest.raises(WeakSecretError):
        library.AuditChain(b"x" * 31)
    with pytest.raises(TypeError, match="secret must be str or bytes-like"):
        library.AuditChain(None)
    holders = [library.AuditChain(SECRET), library.AuditKey(SECRET), library.AuditVerifier([SECRET])]
    for holder in holders:
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                copied(holder)
        assert SECRET.hex() not in repr(holder)
        assert not hasattr(holder, "__dict__") or SECRET not in repr(vars(holder)).encode()
    assert repr(holders[0]) == f"<AuditChain {key_id_of(SECRET)} at 0>"
    assert library.AuditChain("text of more than thirty-two bytes").key_id


@pytest.mark.untraced  # tracing lets other threads in between any two lines
def test_threads_share_a_chain(library: SimpleNamespace) -> None:
    """Lines made by several threads are one chain, however they take turns."""
    chain = library.AuditChain(SECRET)
    lines = [chain.begin({})]

    def work() -> None:
        for number in range(200):
            lines.append(chain.append({"n": number}))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.sort(key=lambda line: json.loads(line)["seq"])
    verifier = library.AuditVerifier([SECRET], last=(801, chain.tag))
    assert verifier.feed(b"".join(lines)) + verifier.finish() == []


# -- reading -------------------------------------------------------------------


def test_reading_a_line(library: SimpleNamespace) -> None:
    """Number and tag come from a line's ends; a begin line also names its key and the tag before."""
    begin, line = make_lines(2)
    expected = AuditLine(2, tag_of(line), None, None)
    for given in (line, line[:-1], bytearray(line), memoryview(line)):
        found = library.read_audit_line(given)
        assert found == expected
        assert type(found) is AuditLine
    assert library.read_audit_line(begin) == AuditLine(1, tag_of(begin), int(key_id_of(SECRET), 16), ZEROS)


GOOD = make_lines(2)[1]
CHAIN = f',"chain":"{spelled(TAG)}"}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "shape"),
        ("\n", "shape"),
        ("{}", "shape"),
        ('{"seq":1' + CHAIN + "\n\n", "shape"),
        ('{"seq":1\n' + CHAIN, "shape"),
        (' {"seq":1' + CHAIN, "shape"),
        ('{"seq":1' + CHAIN + " ", "shape"),
        ('{"seq":1' + CHAIN + "\r\n", "shape"),
        ('{"seq":1' + CHAIN[:-1], "shape"),
        ('{"seq":1x' + CHAIN, "shape"),
        ('{"seq":1,' + CHAIN, "shape"),
        ('{"seq":1, "a":1' + CHAIN, "shape"),
        ('{"Seq":1' + CHAIN, "shape"),
        ('{"seq":1' + CHAIN.replace("chain", "Chain"), "shape"),
        ('{"seq":' + CHAIN, "shape"),
        ('{"seq":"1"' + CHAIN, "sequence"),
        ('{"seq":x' + CHAIN, "sequence"),
        ('{"seq":-1' + CHAIN, "sequence"),
        ('{"seq":0' + CHAIN, "sequence"),
        ('{"seq":01' + CHAIN, "sequence"),
        ('{"seq":9007199254740992' + CHAIN, "sequence"),
        ('{"seq":90071992547409910' + CHAIN, "sequence"),
        ('{"seq":' + "9" * 5000 + CHAIN, "sequence"),
        ('{"seq":1' + CHAIN.replace("A", "=", 1), "chain"),
        ('{"seq":1' + CHAIN.replace("A", "+", 1), "chain"),
        ('{"seq":1' + CHAIN[:-3] + "9" + CHAIN[-2:], "chain"),
        ('{"seq":1,"format":"sigil-audit/2"' + CHAIN, "begin"),
        ('{"seq":1,"format":1' + CHAIN, "begin"),
        (
            begin_text(1, ZEROS).upper().replace('{"SEQ"', '{"seq"').replace("FORMAT", "format") + CHAIN,
            "begin",
        ),
        (begin_text(1, ZEROS)[:-1] + CHAIN, "begin"),
        (begin_text(1, ZEROS).replace('"previous"', '"Previous"') + CHAIN, "begin"),
        (begin_text(1, ZEROS).replace(key_id_of(SECRET), "0000000g") + CHAIN, "begin"),
        (begin_text(1, ZEROS).replace(key_id_of(SECRET), "0000000A") + CHAIN, "begin"),
        (begin_text(1, ZEROS) + "x" + CHAIN, "shape"),
        (begin_text(1, ZEROS).replace("AAA", "A=A", 1) + CHAIN, "chain"),
        (begin_text(1, ZEROS).replace("AAA", 'A"A', 1) + CHAIN, "chain"),
        (begin_text(1, ZEROS)[:-2] + 'B"' + CHAIN, "chain"),
        ('{"seq":1,"x":"' + "y" * 65536 + '"' + CHAIN, "too_large"),
    ],
)
def test_what_is_no_line(library: SimpleNamespace, text: str, expected: str) -> None:
    """Every other spelling is refused, and the first thing wrong is named."""
    assert problem(library.read_audit_line, text.encode()) == expected


def test_what_stands_between_the_ends_is_not_read(library: SimpleNamespace) -> None:
    """Reading is cheap: members are judged by the tag, not by a parser."""
    assert library.read_audit_line(b'{"seq":7,"\xff' + CHAIN.encode()).sequence == 7
    assert library.read_audit_line(('{"seq":7,"seq":8' + CHAIN).encode()).sequence == 7
    with pytest.raises(TypeError, match="line must be bytes-like"):
        library.read_audit_line("text")
    assert canonicalize(json.loads(GOOD))
