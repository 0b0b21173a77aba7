"""All rows of the table: what is timed, against what, the goal, and where both sides are made.

Rows of the goals come first in each suite; a goal is a ratio to the peer, or absolute in a unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from benchmarks import audit, buckets, library, package, peers, redis_limiter, service
from benchmarks.sides import Opened
from sigil_native._hashing import kernel

Suite = Literal["canonical", "hashing", "sealing", "batches", "buckets", "audit", "http", "redis", "package"]
#: Processors without AVX-512, and levels below it, have goals of their own, those of SHA-NI.
WIDE: Final = kernel() == "avx-512"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        goal: a ratio, or in ``unit``.
        at_most: the goal is the largest figure that is good; of two times it is ours in terms of the peer's.
        unit: of absolute goals; ``x`` is a ratio.
        slices: ``many`` of some milliseconds, ``few`` of seconds, ``one`` where chance has no part.
        both_cores: the library's rows run on one core.
    """

    suite: Suite
    name: str
    against: str
    goal: float
    open: Callable[[], Opened]
    at_most: bool = False
    unit: Literal["x", "B", "ms", "MB", "s"] = "x"
    slices: Literal["many", "few", "one"] = "many"
    both_cores: bool = False

    @property
    def sides(self) -> tuple[str, ...]:
        """What is timed in turn."""
        return ("ours", "peer") if self.unit == "x" else ("ours",)

    def measured(self, ours: float, peer: float | None) -> float:
        """The figure that the goal speaks of."""
        if peer is None:
            return ours
        return ours / peer if self.at_most else peer / ours

    def fraction(self, measured: float) -> float:
        """How much of the goal is reached; from 1 it is."""
        return self.goal / measured if self.at_most else measured / self.goal

    def reached(self, measured: float) -> bool:
        """Whether the goal is met."""
        return measured <= self.goal if self.at_most else measured >= self.goal


_PARSED: Final = "orjson loads + dumps(SORT_KEYS)"
_DUMPED: Final = "orjson dumps(SORT_KEYS)"
_STREAM: Final = "one OpenSSL stream with midstates"
_ASSEMBLED: Final = "orjson + hmac.digest + base64"
_LOOP: Final = "a loop of orjson + hmac.digest + base64"
_PLAIN_LOG: Final = "json.dumps + hmac.digest + base64"
_ECHO: Final = "an empty Starlette's echo"


def _canonical() -> list[Row]:
    goals: tuple[tuple[library.Kind, float], ...] = (
        ("event, fixed", 4.5),
        ("events, varied", 4.5),
        ("webhook, compact", 3.5),
        ("webhook, pretty", 2.8),
    )
    rows = [
        Row("canonical", f"canonicalize_json: {kind}", _PARSED, goal, partial(library.canonical_text, kind))
        for kind, goal in goals
    ]
    for kind in library.EVENTS:
        for against, goal, peer in (
            (_DUMPED, 1.1, peers.orjson_value),
            ("rfc8785.dumps", 50, peers.rfc8785_value),
        ):
            made = partial(library.canonical_values, kind, peer)
            rows.append(Row("canonical", f"canonicalize: {kind}", against, goal, made))
    return rows


def _hashing() -> list[Row]:
    return [
        Row("hashing", "HmacKey.digest: 200 B", "hmac.digest", 6, library.one_digest),
        Row(
            *("hashing", "digest_many: 64 equal, 224 B", _STREAM, 2.3 if WIDE else 1.25),
            partial(library.many_digests, library.equal_sizes()),
        ),
        Row(
            *("hashing", "digest_many: 256 mixed, 64-4000 B", _STREAM, 2.0 if WIDE else 1.25),
            partial(library.many_digests, library.mixed_sizes()),
        ),
    ]


def _sealing() -> list[Row]:
    """Tokens carry the payload, as those of itsdangerous and PyJWT do."""
    forms: tuple[tuple[library.Form, str, library.Function, library.Function], ...] = (
        ("text", "", peers.value_to_text, peers.json_to_text),
        ("token", " as token", peers.value_to_token, peers.json_to_token),
    )
    rows = []
    for kind in library.EVENTS:
        for form, title, value_peer, text_peer in forms:
            for against, goal, peer in (
                (_ASSEMBLED, 5, value_peer),
                ("itsdangerous", 30, peers.itsdangerous_value),
                ("PyJWT HS256", 30, peers.pyjwt_value),
            ):
                made = partial(library.encoded_values, kind, form, peer)
                rows.append(Row("sealing", f"encode{title}: {kind}", against, goal, made))
            made = partial(library.encoded_texts, kind, form, text_peer)
            rows.append(Row("sealing", f"encode_json{title}: {kind}", f"loads + {_ASSEMBLED}", 8, made))
        made = partial(library.verified, kind)
        rows.append(Row("sealing", f"verify: {kind}", "encode of the same", 1.15, made, at_most=True))
    return rows


def _batches() -> list[Row]:
    return [
        Row(
            "batches", "encode_ndjson: varied", _LOOP, 10, partial(library.batch, "text", peers.json_to_text)
        ),
        Row(
            *("batches", "encode_ndjson as token: varied", _LOOP, 10),
            partial(library.batch, "token", peers.json_to_token),
        ),
        Row("batches", "verify_ndjson: varied", "verify_json, one by one", 1.1, library.verified_lines),
        Row("batches", "verify_many: varied", "verify, one by one", 1.25, library.verified_values),
        Row(
            *("batches", "encode_ndjson: two threads", "one thread", 1.9, library.two_threads),
            both_cores=True,
        ),
    ]


def _buckets() -> list[Row]:
    many = "1,000,000 keys at random"
    return [
        Row("buckets", "TokenBucket.acquire: hot key", "limits, fixed window", 30, buckets.hot_key),
        Row(
            *("buckets", f"TokenBucket.acquire: {many}", "the hot key's", 4, buckets.random_keys),
            at_most=True,
        ),
        Row(
            *("buckets", "TokenBucket: memory of 1,000,000 keys", "a key", 50, buckets.memory),
            at_most=True,
            unit="B",
            slices="few",
        ),
        Row(
            *("buckets", f"TokenBucket.acquire_many: {many}", "acquire, one by one", 1.5),
            buckets.random_keys_in_one_call,
        ),
    ]


def _audit() -> list[Row]:
    return [
        Row("audit", "audit append", _PLAIN_LOG, 5, audit.appended),
        Row("audit", "audit append_many: 100", _PLAIN_LOG, 6, audit.appended_in_groups),
        Row("audit", "audit verify", "json.loads + hmac.digest + base64", 25, audit.checked),
    ]


def _http() -> list[Row]:
    rows = []
    for title, requests, goals in (
        ("HTTP encode", service.SINGLE, (2.0, 1.0)),
        ("HTTP NDJSON batch of 100", service.BATCHES, (75, 8)),
        ("HTTP verify", service.VERIFICATION, (1.5, 0.75)),
        ("HTTP NDJSON batch of 100 to verify", service.VERIFICATIONS, (50, 5)),
    ):
        for server, goal in zip(("without-store", "with-store-and-audit"), goals, strict=True):
            made = partial(service.beside_echo, server, requests)
            name = f"{title}, {server.replace('-', ' ')}"
            rows.append(Row("http", name, _ECHO, goal, made, slices="few", both_cores=True))
    return rows


def _redis() -> list[Row]:
    return [
        Row(
            *("redis", "Redis limiter: exact, 32 callers", "a bare FCALL each", 1.15),
            redis_limiter.exact_beside_bare,
            at_most=True,
            both_cores=True,
        )
    ]


def _package() -> list[Row]:
    return [
        Row(
            *("package", "import sigil_native", "a new process", 15, package.import_time),
            at_most=True,
            unit="ms",
        ),
        Row(
            *("package", "service start", "until it answers", 1.5, package.service_start),
            at_most=True,
            unit="s",
            slices="few",
            both_cores=True,
        ),
        Row(
            *("package", "wheel", "modules as compiled", 2, package.wheel_size),
            at_most=True,
            unit="MB",
            slices="one",
            both_cores=True,
        ),
    ]


def all_rows() -> list[Row]:
    """Every row, in the order of the goals."""
    return [
        *(*_canonical(), *_hashing(), *_sealing(), *_batches(), *_buckets(), *_audit()),
        *(*_http(), *_redis(), *_package()),
    ]


def rows_with(text: str) -> list[Row]:
    """Those whose name contains a text, in upper or lower case."""
    return [row for row in all_rows() if text.lower() in row.name.lower()]
