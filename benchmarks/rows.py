"""The table's rows: what is timed, against what, and the ratio to reach."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

import sigil_native
from benchmarks import events, peers
from benchmarks.timing import interleaved
from sigil_native._hashing import kernels

Call = Callable[[], object]

#: Batches that the threads share out: enough to make their start not count.
_TURNS = 200


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    against: str
    goal: float
    measure: Callable[[int], tuple[float, float]]  # rounds -> seconds an item: ours, the peer's
    at_most: bool = False

    def ratio(self, ours: float, peer: float) -> float:
        """The figure that the goal speaks of."""
        return ours / peer if self.at_most else peer / ours

    def reached(self, ratio: float) -> bool:
        """Whether the goal is met."""
        return ratio <= self.goal if self.at_most else ratio >= self.goal


def each(function: Callable[[Any], object], items: list[Any]) -> Call:
    """Call ``function`` on every item."""

    def call() -> None:
        for item in items:
            function(item)

    return call


def pair(ours: Call, peer: Call, items: int) -> Callable[[int], tuple[float, float]]:
    """Time two calls in turn; the result is for one of ``items``."""

    def measure(rounds: int) -> tuple[float, float]:
        best = interleaved({"ours": ours, "peer": peer}, rounds=rounds)
        return best["ours"] / items, best["peer"] / items

    return measure


def _over(
    name: str,
    against: str,
    goal: float,
    ours: Callable[[Any], object],
    peer: Callable[[Any], object],
    items: list[Any],
) -> Row:
    return Row(name, against, goal, pair(each(ours, items), each(peer, items), len(items)))


def canonical_rows(inputs: dict[str, list[bytes]]) -> Iterator[Row]:
    """Canonical JSON through both doors."""
    parse = "orjson loads + dumps(SORT_KEYS)"
    for kind, goal in (
        ("event, fixed", 4.5),
        ("events, varied", 4.5),
        ("webhook, compact", 3.5),
        ("webhook, pretty", 2.8),
    ):
        yield _over(
            f"canonicalize_json: {kind}",
            parse,
            goal,
            sigil_native.canonicalize_json,
            peers.orjson_text,
            inputs[kind],
        )
    for kind in ("event, fixed", "events, varied"):
        values = [json.loads(text) for text in inputs[kind]]
        ours = sigil_native.canonicalize
        yield _over(f"canonicalize: {kind}", "orjson dumps(SORT_KEYS)", 1.1, ours, peers.orjson_value, values)
        yield _over(f"canonicalize: {kind}", "rfc8785.dumps", 50, ours, peers.rfc8785_value, values)


def hash_rows() -> Iterator[Row]:
    """HMAC of one message and of many."""
    key = sigil_native.HmacKey(peers.SECRET)
    yield _over(
        "HmacKey.digest: 200 B", "hmac.digest", 6, key.digest, peers.stdlib_hmac, [os.urandom(200)] * 100
    )
    chance = random.Random(6234)
    wide = "avx-512" in kernels()
    batches = {
        "64 equal, 224 B": ([224] * 64, 2.3 if wide else 1.25),
        "256 mixed, 64-4000 B": ([chance.randrange(64, 4001) for _ in range(256)], 2.0 if wide else 1.25),
    }
    for kind, (sizes, goal) in batches.items():
        messages = [os.urandom(size) for size in sizes]
        yield Row(
            f"digest_many: {kind}", "one OpenSSL stream with midstates", goal, _against_stream(key, messages)
        )


def _against_stream(key: sigil_native.HmacKey, messages: list[bytes]) -> Callable[[int], tuple[float, float]]:
    stream = peers.openssl_one_stream([len(message) for message in messages])

    def measure(rounds: int) -> tuple[float, float]:
        peer = float("inf")
        ours = float("inf")
        for _ in range(rounds):
            peer = min(peer, stream())
            ours = min(ours, interleaved({"ours": lambda: key.digest_many(messages)}, rounds=1)["ours"])
        return ours / len(messages), peer / len(messages)

    return measure


def _codec() -> sigil_native.SigilCodec:
    ring = sigil_native.KeyRing()
    ring.add(peers.SECRET)
    return sigil_native.SigilCodec(ring)


def seal_rows(inputs: dict[str, list[bytes]]) -> Iterator[Row]:
    """Sigils, one a call: as text, and as token beside peers whose results carry the payload too."""
    codec = _codec()

    def encode(value: object) -> object:
        return codec.encode(value, tenant="acme")

    def encode_token(value: object) -> object:
        return codec.encode(value, tenant="acme", form="token")

    def encode_json(text: bytes) -> object:
        return codec.encode_json(text, tenant="acme")

    def encode_json_token(text: bytes) -> object:
        return codec.encode_json(text, tenant="acme", form="token")

    def verify(sealed: tuple[str, object]) -> object:
        return codec.verify(sealed[0], sealed[1], tenant="acme")

    assembled = "orjson + hmac.digest + base64"
    for kind in ("event, fixed", "events, varied"):
        texts = inputs[kind]
        values = [json.loads(text) for text in texts]
        yield _over(f"encode: {kind}", assembled, 5, encode, peers.value_to_text, values)
        yield _over(f"encode: {kind}", "itsdangerous", 30, encode, peers.itsdangerous_value, values)
        yield _over(f"encode: {kind}", "PyJWT HS256", 30, encode, peers.pyjwt_value, values)
        yield _over(f"encode as token: {kind}", assembled, 5, encode_token, peers.value_to_token, values)
        yield _over(
            f"encode as token: {kind}", "itsdangerous", 30, encode_token, peers.itsdangerous_value, values
        )
        yield _over(f"encode as token: {kind}", "PyJWT HS256", 30, encode_token, peers.pyjwt_value, values)
        yield _over(f"encode_json: {kind}", f"loads + {assembled}", 8, encode_json, peers.json_to_text, texts)
        yield _over(
            f"encode_json as token: {kind}",
            f"loads + {assembled}",
            8,
            encode_json_token,
            peers.json_to_token,
            texts,
        )
        sealed = [(codec.encode(value, tenant="acme"), value) for value in values]
        both = pair(each(verify, sealed), each(lambda item: encode(item[1]), sealed), len(sealed))
        yield Row(f"verify: {kind}", "encode of the same", 1.15, both, at_most=True)


def batch_rows(inputs: dict[str, list[bytes]]) -> Iterator[Row]:
    """Sigils, many a call, on one core and on two."""
    codec = _codec()
    texts = inputs["events, varied"]
    lines = b"\n".join(texts)

    def batch() -> bytes:
        return codec.encode_ndjson(lines, tenant="acme")

    def batch_of_tokens() -> bytes:
        return codec.encode_ndjson(lines, tenant="acme", form="token")

    loop = "a loop of orjson + hmac + base64"
    texts_peer, tokens_peer = each(peers.json_to_text, texts), each(peers.json_to_token, texts)
    yield Row("encode_ndjson: varied", loop, 10, pair(batch, texts_peer, len(texts)))
    yield Row("encode_ndjson as token: varied", loop, 10, pair(batch_of_tokens, tokens_peer, len(texts)))

    def twice(threads: int) -> Call:
        def work(turns: int) -> None:
            for _ in range(turns):
                batch()

        def call() -> None:
            workers = [threading.Thread(target=work, args=(_TURNS // threads,)) for _ in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        return call

    def measure(rounds: int) -> tuple[float, float]:
        pinned = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        try:
            return pair(twice(2), twice(1), _TURNS * len(texts))(max(3, rounds // 5))
        finally:
            os.sched_setaffinity(0, pinned)

    yield Row("encode_ndjson: two threads", "one thread", 1.9, measure)


def all_rows() -> list[Row]:
    """Every row, in the order of the goals."""
    webhooks = [events.webhook(seed, 1 + seed % 4) for seed in range(40)]
    inputs = {
        "event, fixed": [events.EVENT] * 100,
        "events, varied": events.varied_events(),
        "webhook, compact": [events.compact(webhook) for webhook in webhooks],
        "webhook, pretty": [orjson.dumps(webhook, option=orjson.OPT_INDENT_2) for webhook in webhooks],
    }
    return [*canonical_rows(inputs), *hash_rows(), *seal_rows(inputs), *batch_rows(inputs)]
