"""The library's own work: canonical JSON, HMACs, sigils one by one and many a call."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from functools import cache
from typing import Any, Final, Literal

import orjson

import sigil_native
from benchmarks import events, peers
from benchmarks.sides import Call, Opened, Side, Sides, each, over, pair

Kind = Literal["event, fixed", "events, varied", "webhook, compact", "webhook, pretty"]
Form = Literal["text", "token"]
#: One of which all are alike, as others publish it, and what a stream of real ones costs.
EVENTS: Final[tuple[Kind, Kind]] = ("event, fixed", "events, varied")
Function = Callable[[Any], object]

#: Batches that the threads share out: enough to make their start not count.
_TURNS: Final = 60
#: One message for the peer's stream; see ``peers.stream_blocks``.
_STREAM: Final = 1 << 20


@cache
def texts(kind: Kind) -> list[bytes]:
    """The inputs of a kind, as JSON text."""
    if kind == "event, fixed":
        return [events.EVENT] * 100
    if kind == "events, varied":
        return events.varied_events()
    webhooks = [events.webhook(seed, 1 + seed % 4) for seed in range(40)]
    if kind == "webhook, compact":
        return [events.compact(webhook) for webhook in webhooks]
    return [orjson.dumps(webhook, option=orjson.OPT_INDENT_2) for webhook in webhooks]


def _values(kind: Kind) -> list[Any]:
    return [json.loads(text) for text in texts(kind)]


def codec() -> sigil_native.SigilCodec:
    """A codec with one key."""
    ring = sigil_native.KeyRing()
    ring.add(peers.SECRET)
    return sigil_native.SigilCodec(ring)


def canonical_text(kind: Kind) -> Opened:
    """Canonical JSON from text."""
    return over(sigil_native.canonicalize_json, peers.orjson_text, texts(kind))


def canonical_values(kind: Kind, peer: Function) -> Opened:
    """Canonical JSON from Python values."""
    return over(sigil_native.canonicalize, peer, _values(kind))


def one_digest() -> Opened:
    """HMACs of different messages, one by one."""
    messages = [os.urandom(200) for _ in range(100)]
    return over(sigil_native.HmacKey(peers.SECRET).digest, peers.stdlib_hmac, messages)


def equal_sizes() -> list[int]:
    """Sizes of messages of one length."""
    return [224] * 64


def mixed_sizes() -> list[int]:
    """Sizes of messages of many lengths."""
    chance = random.Random(6234)
    return [chance.randrange(64, 4001) for _ in range(256)]


def many_digests(sizes: list[int]) -> Opened:
    """HMACs of many messages in one call.

    Python cannot call OpenSSL's stream without paying for the call; so the peer hashes one long message, and
    as many of its blocks count as these messages have.
    """
    messages = [os.urandom(size) for size in sizes]
    key = sigil_native.HmacKey(peers.SECRET)
    stream = bytes(_STREAM)
    worth = _STREAM // 64 / peers.stream_blocks(sizes) * len(sizes)
    ours = Side(lambda: key.digest_many(messages), len(sizes))
    return nullcontext(Sides(ours, Side(lambda: peers.stdlib_sha256(stream), worth)))


def encoded_values(kind: Kind, form: Form, peer: Function) -> Opened:
    """Sigils of Python values, one a call."""
    encode = codec().encode
    return over(lambda value: encode(value, tenant="acme", form=form), peer, _values(kind))


def encoded_texts(kind: Kind, form: Form, peer: Function) -> Opened:
    """Sigils of JSON text, one a call."""
    encode = codec().encode_json
    return over(lambda text: encode(text, tenant="acme", form=form), peer, texts(kind))


def verified(kind: Kind) -> Opened:
    """Sigils verified, beside the encode of the same values."""
    own = codec()
    sealed = [(own.encode(value, tenant="acme"), value) for value in _values(kind)]
    return over(
        lambda item: own.verify(item[0], item[1], tenant="acme"),
        lambda item: own.encode(item[1], tenant="acme"),
        sealed,
    )


def batch(form: Form, peer: Function) -> Opened:
    """Sigils of 2,000 lines in one call."""
    lines = texts("events, varied")
    joined = b"\n".join(lines)
    encode = codec().encode_ndjson
    return pair(lambda: encode(joined, tenant="acme", form=form), each(peer, lines), len(lines))


def verified_lines() -> Opened:
    """Lines verified in one call, beside their sigils and payloads one by one.

    As programs write them: members in either order, with blanks or without, some sigils as strands.
    """
    own = codec()
    pairs: list[tuple[str, bytes]] = []
    lines: list[str] = []
    for number, value in enumerate(_values("events, varied")):
        text = json.dumps(value, separators=(",", ":") if number % 2 else None, ensure_ascii=False)
        sigil = own.encode(value, tenant="acme", form="text" if number % 8 else "strand")
        pairs.append((sigil, text.encode()))
        members = [f'"sigil": "{sigil}"', f'"data": {text}']
        lines.append("{" + ", ".join(members[:: 1 if number % 4 < 2 else -1]) + "}")
    joined = "\n".join(lines).encode()
    return pair(
        lambda: own.verify_ndjson(joined, tenant="acme"),
        each(lambda item: own.verify_json(item[0], item[1], tenant="acme"), pairs),
        len(lines),
    )


def verified_values() -> Opened:
    """Pairs verified in one call, beside one by one."""
    own = codec()
    values = _values("events, varied")
    pairs = [
        (own.encode(value, tenant="acme", form="text" if number % 8 else "strand"), value)
        for number, value in enumerate(values)
    ]
    sigils = [sigil for sigil, _ in pairs]
    return pair(
        lambda: own.verify_many(sigils, values, tenant="acme"),
        each(lambda item: own.verify(item[0], item[1], tenant="acme"), pairs),
        len(pairs),
    )


def two_threads() -> Opened:
    """Batches shared out between two threads, and all of them in one."""
    lines = texts("events, varied")
    joined = b"\n".join(lines)
    encode = codec().encode_ndjson

    def work(turns: int) -> None:
        for _ in range(turns):
            encode(joined, tenant="acme")

    def shared(threads: int) -> Call:
        # Made once, as in programs that share work out: new threads get a core each after milliseconds only.
        pool = ThreadPoolExecutor(threads)

        def call() -> None:
            wait([pool.submit(work, _TURNS // threads) for _ in range(threads)])

        return call

    return pair(shared(2), shared(1), _TURNS * len(lines))
