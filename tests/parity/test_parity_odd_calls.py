"""Both backends refuse calls that miss the mark with the same errors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
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


_KINDS: Final = ("SealRequests", "VerifyRequests")
Calls = dict[str, Callable[[], Any]]


def _of_lines(library: SimpleNamespace, kind: str, odd: Any) -> Calls:
    """Calls that requests of both kinds know."""
    made = getattr(library, kind)
    unread = partial(_requests, library, kind, "unread")
    return {
        f"{kind}: body": lambda: len(made(odd, most=1)),
        f"{kind}: most": lambda: len(made(b"x", most=odd)),
        f"{kind}: number": lambda: len(made(b"x", most=1, number=odd)),
        f"{kind}.number": lambda: unread().number(odd),
        f"{kind}.text": lambda: unread().text(odd),
        f"{kind}.refuse: place": lambda: unread().refuse(odd, b"x"),
        f"{kind}.refuse: answer": lambda: unread().refuse(0, odd),
        f"{kind}.refuse: both": lambda: unread().refuse(odd, None),
        f"{kind}.read: first": lambda: unread().read(odd, 3),
        f"{kind}.read: last": lambda: unread().read(0, odd),
        f"{kind}.read: both": lambda: unread().read(2**70, odd),
    }


def _of_seals(library: SimpleNamespace, odd: Any) -> Calls:
    """Calls about lines that ask for seals."""
    codec = _codec(library)
    unread, read, done = (
        partial(_requests, library, "SealRequests", state) for state in ("unread", "read", "done")
    )
    return {
        "accept: place": lambda: unread().accept(odd, b"{}"),
        "accept: payload": lambda: unread().accept(0, odd),
        "accept: lifetime": lambda: unread().accept(0, b"{}", odd),
        "accept: all": lambda: unread().accept(odd, odd, odd),
        "seal_requests: requests": lambda: codec.seal_requests(odd, 0, 1, tenant=TENANT),
        "seal_requests: range": lambda: codec.seal_requests(read(), odd, 3, tenant=TENANT),
        "seal_requests: tenant": lambda: codec.seal_requests(read(), odd, 9, tenant=odd),
        "sealed": lambda: len(done().sealed(odd, 3)),
        "ids": lambda: len(done().ids(0, odd)),
        "answers: parts": lambda: done().answers(odd, 0, 3, now_ms=0),
        "answers: part": lambda: done().answers((odd,), 0, 3, now_ms=0),
        "answers: first": lambda: done().answers((b"x",), odd, 3, now_ms=0),
        "answers: last": lambda: done().answers((b"x",), 0, odd, now_ms=0),
        "answers: moment": lambda: done().answers(("status",), 0, 3, now_ms=odd),
    }


def _of_verdicts(library: SimpleNamespace, odd: Any) -> Calls:
    """Calls about lines that ask for verdicts."""
    codec = _codec(library)
    unread, read, done = (
        partial(_requests, library, "VerifyRequests", state) for state in ("unread", "read", "done")
    )
    return {
        "accept: place": lambda: unread().accept(odd, "x", b"{}"),
        "accept: sigil": lambda: unread().accept(0, odd, b"{}"),
        "accept: payload": lambda: unread().accept(0, "x", odd),
        "judge_requests: requests": lambda: codec.judge_requests(odd, 0, 1, tenant=TENANT),
        "judge_requests: range": lambda: codec.judge_requests(read(), 0, odd, tenant=TENANT),
        "judge_requests: moment": lambda: codec.judge_requests(read(), odd, 9, tenant=TENANT, now=odd),
        "judge_requests: tenant": lambda: codec.judge_requests(read(), odd, 9, tenant=odd, now=odd),
        "findings": lambda: len(done().findings(odd, 3)),
        "issued": lambda: len(done().issued(0, odd)),
        "claims": lambda: len(done().claims(odd, 3)),
        "answers: kinds": lambda: done().answers(odd, [0, 0, 0], 0, 3),
        "answers: kind": lambda: done().answers([odd], [0, 0, 0], 0, 3),
        "answers: chosen": lambda: done().answers([(b"x",)], odd, 0, 3),
        "answers: place": lambda: done().answers([(b"x",)], [0, odd, 0], 0, 3),
        "answers: place of a refused one": lambda: done().answers([(b"x",)], [0, 0, odd], 0, 3),
        "answers: first": lambda: done().answers([(b"x",)], [0, 0, 0], odd, 3),
    }


def _of_codecs(library: SimpleNamespace, odd: Any) -> Calls:
    """Calls with many payloads or sigils."""
    codec = _codec(library)
    return {
        "verify_many: sigils": lambda: codec.verify_many(odd, [1], tenant=TENANT),
        "verify_many: payloads": lambda: codec.verify_many(["x"], odd, tenant=TENANT),
        "verify_many: sigil": lambda: codec.verify_many([odd], [1], tenant=TENANT),
        "verify_many: payload": lambda: codec.verify_many([make_sigil(b"1")], [odd], tenant=TENANT),
        "verify_many: tenant": lambda: codec.verify_many(None, [1], tenant=odd, now=odd),
        "verify_many: moment": lambda: codec.verify_many([], [1], tenant=TENANT, now=odd),
        "verify_ndjson: lines": lambda: codec.verify_ndjson(odd, tenant=TENANT),
        "verify_ndjson: all": lambda: codec.verify_ndjson(odd, tenant=odd, now=odd),
        "encode_many: payloads": lambda: len(codec.encode_many(odd, tenant=TENANT)),
        "encode_many: all": lambda: len(codec.encode_many(odd, tenant=odd, expires_in=odd, form=odd)),
        "encode_ndjson: lines": lambda: len(codec.encode_ndjson(odd, tenant=TENANT)),
        "encode_ndjson: all": lambda: len(codec.encode_ndjson(odd, tenant=TENANT, expires_in=odd, form=odd)),
    }


def _of_allowances(library: SimpleNamespace, odd: Any) -> Calls:
    """Calls about limits."""
    bucket = _bucket(library)
    return {
        "Allowance: places": lambda: repr(library.Allowance(odd).check()),
        "Allowance: place": lambda: repr(library.Allowance([odd]).check()),
        "Allowance: bucket": lambda: repr(library.Allowance([(odd, "k")]).check()),
        "Allowance: key": lambda: repr(library.Allowance([(bucket, odd)]).check()),
        "Allowance: headers": lambda: repr(library.Allowance([(bucket, "k")], odd).take()),
        "Allowance.check": lambda: repr(_allowance(library).check(odd)),
        "Allowance.take": lambda: repr(_allowance(library).take(odd)),
    }


def _of_chains(library: SimpleNamespace, odd: Any) -> Calls:
    """Calls about audit logs."""
    return {
        "AuditChain: secret": lambda: repr(library.AuditChain(odd)),
        "AuditChain: sequence": lambda: repr(library.AuditChain(SECRET, odd)),
        "AuditChain: previous": lambda: repr(library.AuditChain(SECRET, 1, odd)),
        "AuditChain.begin": lambda: library.AuditChain(SECRET).begin(odd),
        "AuditChain.append": lambda: _chain(library).append(odd),
        "AuditChain.append, nothing begun": lambda: library.AuditChain(SECRET).append(odd),
        "AuditChain.append_many": lambda: _chain(library).append_many(odd),
        "AuditChain.append_many: one": lambda: _chain(library).append_many([{}, odd]),
    }


@pytest.mark.parametrize(
    "calls",
    [
        *(partial(_of_lines, kind=kind) for kind in _KINDS),
        *(_of_seals, _of_verdicts, _of_codecs, _of_allowances, _of_chains),
    ],
)
def test_odd_arguments(calls: Callable[..., Calls]) -> None:
    """An argument of a wrong type or size is the same mistake everywhere."""
    for odd in _ODD:
        native, pure = (
            {name: (odd, outcome(call)) for name, call in calls(library, odd=odd).items()}
            for library in (NATIVE, PURE)
        )
        assert native == pure


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("state", ["unread", "read", "done"])
@pytest.mark.parametrize("name", ["seal_requests", "judge_requests"])
def test_lines_of_another_kind_or_state(kind: str, state: str, name: str) -> None:
    """Requests of the other kind, or not so far, are refused alike; so is a bad tenant first."""
    for tenant in (TENANT, ""):
        native, pure = (
            outcome(getattr(_codec(library), name), _requests(library, kind, state), 0, 3, tenant=tenant)
            for library in (NATIVE, PURE)
        )
        assert native == pure


@pytest.mark.parametrize("library", [NATIVE, PURE])
@pytest.mark.parametrize("arguments", [[], [None], [1, 2, 3, 4], [b"x\ny"], [SECRET]])
def test_what_is_made_is_not_made_again(library: SimpleNamespace, arguments: list[Any]) -> None:
    """Whoever calls __init__ of these again changes nothing, with whatever arguments."""
    allowance, chain = _allowance(library), _chain(library)
    requests = [_requests(library, kind, "read") for kind in _KINDS]
    for one in (allowance, chain, *requests):
        one.__init__(*arguments)
    assert len(allowance.check()) == 2
    assert chain.sequence == 1
    assert [(len(one), one.end, one.next_number) for one in requests] == [
        (3, len(body), 4) for body in (_PLAIN, _ASKED)
    ]


def test_what_the_interpreter_refuses() -> None:
    """Attributes that cannot be set, copies and subclasses are refused by the same classes of errors."""
    classes: list[list[type]] = [[], []]
    for library, found in zip((NATIVE, PURE), classes, strict=True):
        for one in (_allowance(library), *(_requests(library, kind, "read") for kind in _KINDS)):
            made = type(one)
            calls: list[Callable[[], object]] = [
                *(partial(setattr, one, name, 1) for name in ("other", "end", "next_number")),
                *(partial(call, one) for call in (copy.copy, copy.deepcopy, pickle.dumps)),
                partial(type, "Other", (made,), {}),
                partial(made.__new__, made),
            ]
            for call in calls:
                with pytest.raises((TypeError, AttributeError)) as caught:
                    call()
                found.append(caught.type)
    assert classes[0] == classes[1]
