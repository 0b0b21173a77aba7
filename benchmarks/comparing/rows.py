"""The rows of the library and of the engine that are compared; each is built in a side's process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sigil_native
from benchmarks import events
from benchmarks.sides import Side, each

#: Enough that the processor does not learn them; few enough that all stay in its caches.
_EVENTS = 500
_SECRET = b"0123456789abcdef0123456789abcdef"


@cache
def _texts() -> list[bytes]:
    return events.varied_events()[:_EVENTS]


@cache
def _values() -> list[Any]:
    return [json.loads(text) for text in _texts()]


def _over(function: Callable[[Any], object], items: list[Any]) -> Side:
    return Side(each(function, items), len(items))


def _ring() -> sigil_native.KeyRing:
    ring = sigil_native.KeyRing()
    ring.add(_SECRET)
    return ring


@cache
def _codec() -> sigil_native.SigilCodec:
    return sigil_native.SigilCodec(_ring())


def _webhooks() -> Side:
    texts = [events.compact(events.webhook(seed, 1 + seed % 4)) for seed in range(40)]
    return _over(sigil_native.canonicalize_json, texts)


def _digest_many() -> Side:
    key = sigil_native.HmacKey(_SECRET)
    return Side(lambda: key.digest_many(_texts()), _EVENTS)


def _encode(form: str) -> Side:
    codec = _codec()
    return _over(lambda value: codec.encode(value, tenant="acme", form=form), _values())


def _encode_json() -> Side:
    codec = _codec()
    return _over(lambda text: codec.encode_json(text, tenant="acme"), _texts())


def _encode_ndjson() -> Side:
    codec, lines = _codec(), b"\n".join(_texts())
    return Side(lambda: codec.encode_ndjson(lines, tenant="acme"), _EVENTS)


def _verify() -> Side:
    codec = _codec()
    sealed = [(codec.encode(value, tenant="acme"), value) for value in _values()]
    return _over(lambda pair: codec.verify(pair[0], pair[1], tenant="acme"), sealed)


def _verify_json() -> Side:
    codec = _codec()
    sealed = [(codec.encode_json(text, tenant="acme"), text) for text in _texts()]
    return _over(lambda pair: codec.verify_json(pair[0], pair[1], tenant="acme"), sealed)


def _verify_many() -> Side:
    codec, values = _codec(), _values()
    sealed = codec.encode_many(values, tenant="acme")
    return Side(lambda: codec.verify_many(sealed, values, tenant="acme"), _EVENTS)


def _verify_ndjson() -> Side:
    codec = _codec()
    sealed = [(codec.encode_json(text, tenant="acme").encode(), text) for text in _texts()]
    lines = b"\n".join(b'{"sigil":"%b","data":%b}' % one for one in sealed)
    return Side(lambda: codec.verify_ndjson(lines, tenant="acme"), _EVENTS)


def _sign() -> Side:
    key = sigil_native.HmacKey(_SECRET)
    return _over(lambda value: sigil_native.sign_event(value, key), _values())


def _records() -> list[dict[str, Any]]:
    return [{"event": "sigil.encoded", "tenant": "acme", "detail": value} for value in _values()]


def _audit_append() -> Side:
    chain = sigil_native.AuditChain(_SECRET)
    chain.begin({})
    return _over(chain.append, _records())


def _audit_verify() -> Side:
    chain = sigil_native.AuditChain(_SECRET)
    text = chain.begin({}) + chain.append_many(_records())

    def call() -> None:
        verifier = sigil_native.AuditVerifier([_SECRET])
        if verifier.feed(text) or verifier.finish():
            raise ValueError("a fault")

    return Side(call, _EVENTS)


def _bucket() -> Side:
    bucket = sigil_native.TokenBucket(rate=1e6, burst=10**6)
    return _over(bucket.acquire, [hashlib.sha256(text).hexdigest() for text in _texts()])


class _Nowhere:
    """Keeps nothing."""

    async def put(self, records: object) -> None:
        """See Store.put."""


def _engine() -> Side:
    from core.engine import Engine  # noqa: PLC0415 - a base may be older than the engine
    from core.records import CanonicalJson  # noqa: PLC0415
    from core.seals import Seals  # noqa: PLC0415

    engine = Engine(Seals(_ring()), _Nowhere())  # type: ignore[arg-type]

    def encode(payload: CanonicalJson) -> None:
        # Nothing in it waits, so that no event loop is needed, and none is measured.
        try:
            engine.encode("acme", "load", payload, expires_in=3600).send(None)
        except StopIteration:
            return
        raise RuntimeError("it waits")

    return _over(encode, [CanonicalJson(sigil_native.canonicalize_json(text)) for text in _texts()])


def library_rows() -> Mapping[str, Callable[[], Side]]:
    """How each row is built, by its name."""
    return {
        "canonicalize": lambda: _over(sigil_native.canonicalize, _values()),
        "canonicalize_json": lambda: _over(sigil_native.canonicalize_json, _texts()),
        "canonicalize_json: webhooks": _webhooks,
        "digest_many": _digest_many,
        "encode": lambda: _encode("text"),
        "encode as token": lambda: _encode("token"),
        "encode_json": _encode_json,
        "encode_ndjson": _encode_ndjson,
        "verify": _verify,
        "verify_json": _verify_json,
        "verify_many": _verify_many,
        "verify_ndjson": _verify_ndjson,
        "sign_event": _sign,
        "audit append": _audit_append,
        "audit verify": _audit_verify,
        "TokenBucket.acquire": _bucket,
        "Engine.encode": _engine,
    }
