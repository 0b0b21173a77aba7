"""Both backends refuse calls that miss the mark with the same errors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.parity.outcomes import NATIVE, PURE, outcome
from tests.sigils import NOW, SECRET, TENANT, as_text, make_sigil, ring_of

_ODD: Final[list[Any]] = [
    *(None, True, False, -1, 0, 1, 3, 2**70, -(2**70), 1.0, 1.5, float("nan")),
    *("1", b"1", bytearray(b"1"), [], (), {}, object, NATIVE.Sigil),
]
_PLAIN: Final = b'{"data":{}}\n{"data":{}}\nx'
_ASKED: Final = b'{"sigil":"%b","data":{}}\n' % as_text(make_sigil(b"{}")).encode() * 2 + b"x"


def _codec(library: SimpleNamespace) -> Any:
    return library.SigilCodec(ring_of(library))


def _requests(library: SimpleNamespace, kind: str, state: str) -> Any:
    """Two lines that are plain and one that is refused, as far as they are to be."""
    requests = getattr(library, kind)(_PLAIN if kind == "SealRequests" else _ASKED, most=9)
    if state != "unread":
        (left,) = requests.read(0, 3)
        requests.refuse(left, b"no\n")
    if state == "done" and kind == "SealRequests":
        _codec(library).seal_requests(requests, 0, 3, tenant=TENANT)
    elif state == "done":
        _codec(library).judge_requests(requests, 0, 3, tenant=TENANT, now=NOW)
    return requests


def _bucket(library: SimpleNamespace) -> Any:
    return library.TokenBucket(rate=1, burst=5, capacity=64, clock=lambda: 0)


def _allowance(library: SimpleNamespace) -> Any:
    return library.Allowance([(_bucket(library), "a"), (_bucket(library), "b")])


def _chain(library: SimpleNamespace) -> Any:
    chain = library.AuditChain(SECRET)
    chain.begin({})
    return chain


def _same(call: Callable[[SimpleNamespace], Any]) -> Any:
    native, pure = outcome(call, NATIVE), outcome(call, PURE)
    assert native == pure
    return native


Odd = Callable[[SimpleNamespace, Any], Any]
_KINDS: Final = ("SealRequests", "VerifyRequests")


def _of_both(calls: dict[str, Callable[[Any, Any], Any]], state: str) -> dict[str, Odd]:
    return {
        f"{kind}.{name}": lambda library, odd, kind=kind, call=call: call(
            _requests(library, kind, state), odd
        )
        for kind in _KINDS
        for name, call in calls.items()
    }


_CALLS: Final[dict[str, Odd]] = {
    **_of_both(
        {
            "number": lambda requests, odd: requests.number(odd),
            "text": lambda requests, odd: requests.text(odd),
            "refuse: place": lambda requests, odd: requests.refuse(odd, b"x"),
            "refuse: answer": lambda requests, odd: requests.refuse(0, odd),
            "refuse: both": lambda requests, odd: requests.refuse(odd, None),
            "read: first": lambda requests, odd: requests.read(odd, 3),
            "read: last": lambda requests, odd: requests.read(0, odd),
            "read: both": lambda requests, odd: requests.read(2**70, odd),
        },
        "unread",
    ),
    **{
        f"{kind}: {name}": lambda library, odd, kind=kind, call=call: len(call(getattr(library, kind), odd))
        for kind in _KINDS
        for name, call in {
            "body": lambda made, odd: made(odd, most=1),
            "most": lambda made, odd: made(b"x", most=odd),
            "number": lambda made, odd: made(b"x", most=1, number=odd),
        }.items()
    },
    **{
        f"{kind}.{name}: {what}": lambda library, odd, kind=kind, name=name, place=place: len(
            getattr(_requests(library, kind, "done"), name)(*([odd, 3] if place else [0, odd]))
        )
        for kind, names in (
            ("SealRequests", ("sealed", "ids")),
            ("VerifyRequests", ("findings", "issued", "claims")),
        )
        for name in names
        for what, place in (("first", True), ("last", False))
    },
    "SealRequests.accept: place": lambda library, odd: _requests(library, "SealRequests", "unread").accept(
        odd, b"{}"
    ),
    "SealRequests.accept: payload": lambda library, odd: _requests(library, "SealRequests", "unread").accept(
        0, odd
    ),
    "SealRequests.accept: lifetime": lambda library, odd: _requests(library, "SealRequests", "unread").accept(
        0, b"{}", odd
    ),
    "SealRequests.accept: all": lambda library, odd: _requests(library, "SealRequests", "unread").accept(
        odd, odd, odd
    ),
    "VerifyRequests.accept: place": lambda library, odd: _requests(
        library, "VerifyRequests", "unread"
    ).accept(odd, "x", b"{}"),
    "VerifyRequests.accept: sigil": lambda library, odd: _requests(
        library, "VerifyRequests", "unread"
    ).accept(0, odd, b"{}"),
    "VerifyRequests.accept: payload": lambda library, odd: _requests(
        library, "VerifyRequests", "unread"
    ).accept(0, "x", odd),
    "SealRequests.answers: parts": lambda library, odd: _requests(library, "SealRequests", "done").answers(
        odd, 0, 3, now_ms=0
    ),
    "SealRequests.answers: part": lambda library, odd: _requests(library, "SealRequests", "done").answers(
        (odd,), 0, 3, now_ms=0
    ),
    "SealRequests.answers: first": lambda library, odd: _requests(library, "SealRequests", "done").answers(
        (b"x",), odd, 3, now_ms=0
    ),
    "SealRequests.answers: last": lambda library, odd: _requests(library, "SealRequests", "done").answers(
        (b"x",), 0, odd, now_ms=0
    ),
    "SealRequests.answers: now": lambda library, odd: _requests(library, "SealRequests", "done").answers(
        ("status",), 0, 3, now_ms=odd
    ),
    "VerifyRequests.answers: kinds": lambda library, odd: _requests(
        library, "VerifyRequests", "done"
    ).answers(odd, [0, 0, 0], 0, 3),
    "VerifyRequests.answers: kind": lambda library, odd: _requests(library, "VerifyRequests", "done").answers(
        [odd], [0, 0, 0], 0, 3
    ),
    "VerifyRequests.answers: chosen": lambda library, odd: _requests(
        library, "VerifyRequests", "done"
    ).answers([(b"x",)], odd, 0, 3),
    "VerifyRequests.answers: place": lambda library, odd: _requests(
        library, "VerifyRequests", "done"
    ).answers([(b"x",)], [0, odd, 0], 0, 3),
    "VerifyRequests.answers: of a refused one": lambda library, odd: _requests(
        library, "VerifyRequests", "done"
    ).answers([(b"x",)], [0, 0, odd], 0, 3),
    "VerifyRequests.answers: first": lambda library, odd: _requests(
        library, "VerifyRequests", "done"
    ).answers([(b"x",)], [0, 0, 0], odd, 3),
    "seal_requests: requests": lambda library, odd: _codec(library).seal_requests(odd, 0, 1, tenant=TENANT),
    "judge_requests: requests": lambda library, odd: _codec(library).judge_requests(odd, 0, 1, tenant=TENANT),
    "seal_requests: range": lambda library, odd: _codec(library).seal_requests(
        _requests(library, "SealRequests", "read"), odd, 3, tenant=TENANT
    ),
    "judge_requests: range": lambda library, odd: _codec(library).judge_requests(
        _requests(library, "VerifyRequests", "read"), 0, odd, tenant=TENANT
    ),
    "seal_requests: tenant and range": lambda library, odd: _codec(library).seal_requests(
        _requests(library, "SealRequests", "read"), odd, 9, tenant=odd
    ),
    "judge_requests: tenant, moment and range": lambda library, odd: _codec(library).judge_requests(
        _requests(library, "VerifyRequests", "read"), odd, 9, tenant=odd, now=odd
    ),
    "judge_requests: moment and range": lambda library, odd: _codec(library).judge_requests(
        _requests(library, "VerifyRequests", "read"), odd, 9, tenant=TENANT, now=odd
    ),
    "verify_many: sigils": lambda library, odd: _codec(library).verify_many(odd, [1], tenant=TENANT),
    "verify_many: payloads": lambda library, odd: _codec(library).verify_many(["x"], odd, tenant=TENANT),
    "verify_many: sigil": lambda library, odd: _codec(library).verify_many([odd], [1], tenant=TENANT),
    "verify_many: payload": lambda library, odd: _codec(library).verify_many(
        [make_sigil(b"1")], [odd], tenant=TENANT
    ),
    "verify_many: tenant": lambda library, odd: _codec(library).verify_many(None, [1], tenant=odd, now=odd),
    "verify_many: moment": lambda library, odd: _codec(library).verify_many([], [1], tenant=TENANT, now=odd),
    "verify_ndjson: lines": lambda library, odd: _codec(library).verify_ndjson(odd, tenant=TENANT),
    "verify_ndjson: all": lambda library, odd: _codec(library).verify_ndjson(odd, tenant=odd, now=odd),
    "encode_many: payloads": lambda library, odd: len(_codec(library).encode_many(odd, tenant=TENANT)),
    "encode_many: all": lambda library, odd: len(
        _codec(library).encode_many(odd, tenant=odd, expires_in=odd, form=odd)
    ),
    "encode_ndjson: lines": lambda library, odd: len(_codec(library).encode_ndjson(odd, tenant=TENANT)),
    "encode_ndjson: all": lambda library, odd: len(
        _codec(library).encode_ndjson(odd, tenant=TENANT, expires_in=odd, form=odd)
    ),
    "Allowance: places": lambda library, odd: repr(library.Allowance(odd).check()),
    "Allowance: place": lambda library, odd: repr(library.Allowance([odd]).check()),
    "Allowance: bucket": lambda library, odd: repr(library.Allowance([(odd, "k")]).check()),
    "Allowance: key": lambda library, odd: repr(library.Allowance([(_bucket(library), odd)]).check()),
    "Allowance: headers": lambda library, odd: repr(library.Allowance([(_bucket(library), "k")], odd).take()),
    "Allowance.check": lambda library, odd: repr(_allowance(library).check(odd)),
    "Allowance.take": lambda library, odd: repr(_allowance(library).take(odd)),
    "AuditChain: secret": lambda library, odd: repr(library.AuditChain(odd)),
    "AuditChain: sequence": lambda library, odd: repr(library.AuditChain(SECRET, odd)),
    "AuditChain: previous": lambda library, odd: repr(library.AuditChain(SECRET, 1, odd)),
    "AuditChain.begin": lambda library, odd: library.AuditChain(SECRET).begin(odd),
    "AuditChain.append": lambda library, odd: _chain(library).append(odd),
    "AuditChain.append, nothing begun": lambda library, odd: library.AuditChain(SECRET).append(odd),
    "AuditChain.append_many": lambda library, odd: _chain(library).append_many(odd),
    "AuditChain.append_many: one": lambda library, odd: _chain(library).append_many([{}, odd]),
}


@pytest.mark.parametrize("name", _CALLS)
def test_odd_arguments(name: str) -> None:
    """An argument of a wrong type or size is the same mistake everywhere."""
    for odd in _ODD:
        _same(lambda library, odd=odd: _CALLS[name](library, odd))


def test_lines_of_another_kind_or_state() -> None:
    """Requests of the other kind, or not so far, are refused alike."""
    for state in ("unread", "read", "done"):
        for kind in _KINDS:
            for name in ("seal_requests", "judge_requests"):
                for tenant in (TENANT, ""):
                    _same(
                        lambda library, state=state, kind=kind, name=name, tenant=tenant: getattr(
                            _codec(library), name
                        )(_requests(library, kind, state), 0, 3, tenant=tenant)
                    )


def test_what_is_made_is_not_made_again() -> None:
    """Whoever calls __init__ of these again changes nothing, with whatever arguments."""
    for arguments in ([], [None], [1, 2, 3, 4], [b"x\ny"], [SECRET]):
        for library in (NATIVE, PURE):
            allowance, chain = _allowance(library), _chain(library)
            made = [allowance, chain, *(_requests(library, kind, "read") for kind in _KINDS)]
            for one in made:
                one.__init__(*arguments)
            assert len(allowance.check()) == 2
            assert chain.sequence == 1
            assert [(len(one), one.end, one.next_number) for one in made[2:]] == [
                (3, len(_PLAIN), 4),
                (3, len(_ASKED), 4),
            ]


def test_what_the_interpreter_refuses() -> None:
    """Attributes that cannot be set, copies and subclasses are refused by the same classes of errors."""

    def refusals(library: SimpleNamespace) -> list[type]:
        made = [_allowance(library), *(_requests(library, kind, "read") for kind in _KINDS)]
        calls = [
            call
            for one in made
            for call in (
                lambda one=one: setattr(one, "other", 1),
                lambda one=one: setattr(one, "end", 1),
                lambda one=one: setattr(one, "next_number", 1),
                lambda one=one: copy.copy(one),
                lambda one=one: copy.deepcopy(one),
                lambda one=one: pickle.dumps(one),
                lambda one=one: type("Other", (type(one),), {}),
                lambda one=one: type(one).__new__(type(one)),
            )
        ]
        classes = []
        for call in calls:
            with pytest.raises((TypeError, AttributeError)) as caught:
                call()
            classes.append(caught.type)
        return classes

    assert refusals(NATIVE) == refusals(PURE)
