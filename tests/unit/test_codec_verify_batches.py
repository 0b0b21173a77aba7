"""Many sigils a call, while other threads work with the same codec and its ring."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import RevokedKeyError, TagMismatchError, UnknownKeyError
from tests.backends import load_backend
from tests.sigils import NOW, SECRET, TENANT, as_text, as_token, key_id_of, make_sigil
from tests.threads import ticks_meanwhile

OTHER = b"\x01" * 32


def _codec(library: SimpleNamespace) -> tuple[Any, Any]:
    ring = library.KeyRing()
    ring.add(SECRET)
    return library.SigilCodec(ring), ring


def _line(data: object, **options: Any) -> bytes:
    canonical = json.dumps(data, separators=(",", ":")).encode()
    return b'{"sigil":"%b","data":%b}\n' % (as_text(make_sigil(canonical, **options)).encode(), canonical)


def test_changes_of_the_ring_hold_at_once(library: SimpleNamespace) -> None:
    """A key is known to the next call once it is added, and good until it is revoked."""
    codec, ring = _codec(library)
    lines, sigils = _line(1) + _line(1, secret=OTHER), [make_sigil(b"1"), make_sigil(b"1", secret=OTHER)]

    def outcomes() -> list[Any]:
        told = [
            json.loads(line).get("error")
            for line in codec.verify_ndjson(lines, tenant=TENANT, now=NOW).splitlines()
        ]
        found = codec.verify_many(sigils, [1, 1], tenant=TENANT, now=NOW)
        assert [getattr(one, "code", None) for one in found] == told
        return told

    assert outcomes() == [None, UnknownKeyError.code]
    ring.add(OTHER, "verify-only")
    assert outcomes() == [None, None]
    ring.revoke(key_id_of(SECRET))
    assert outcomes() == [RevokedKeyError.code, None]
    ring.rotate(b"\x02" * 32)
    assert outcomes() == [RevokedKeyError.code, None]


def test_each_line_is_judged_with_the_key_that_it_names(library: SimpleNamespace) -> None:
    """Keys may take turns, known ones and unknown ones, in one group and over several."""
    codec, ring = _codec(library)
    ring.add(OTHER)
    ring.revoke(ring.add(b"\x02" * 32))
    turns = [
        (SECRET, None),
        (b"\x03" * 32, UnknownKeyError.code),
        (OTHER, None),
        (b"\x02" * 32, RevokedKeyError.code),
        (b"\x04" * 32, UnknownKeyError.code),
        (b"\x04" * 32, UnknownKeyError.code),
    ]
    secrets, codes = zip(*(turns[number * 5 % 7 % 6] for number in range(150)), strict=True)
    lines = b"".join(_line(number, secret=secret) for number, secret in enumerate(secrets))
    answers = codec.verify_ndjson(lines, tenant=TENANT, now=NOW).splitlines()
    assert [json.loads(answer).get("error") for answer in answers] == list(codes)
    sigils = [make_sigil(b"%d" % number, secret=secret) for number, secret in enumerate(secrets)]
    found = codec.verify_many(sigils, range(150), tenant=TENANT, now=NOW)
    assert [getattr(one, "code", None) for one in found] == list(codes)


@pytest.mark.parametrize("size", [2, 3, 4, 767, 768, 769, 770, 1536, 4000])
def test_a_token_in_a_line_carries_the_payload_beside_it(library: SimpleNamespace, size: int) -> None:
    """Of payloads of any size, one that differs in a byte or in its length is another."""
    codec, _ = _codec(library)
    payload = b'"' + b"x" * (size - 2) + b'"'
    seal = make_sigil(payload)
    others = [b"y" + payload[1:], payload[:-1] + b"y", payload[:-1], payload + b" "]
    tokens = [as_token(seal, carried) for carried in (payload, *others)]
    lines = [b'{"data":%b,"sigil":"%b"}' % (payload, token.encode()) for token in tokens]
    answers = codec.verify_ndjson(b"\n".join(lines), tenant=TENANT, now=NOW).splitlines()
    assert [json.loads(answer).get("error") for answer in answers] == [None, *[TagMismatchError.code] * 4]


def test_a_key_that_is_revoked_meanwhile_is_good_no_longer(library: SimpleNamespace) -> None:
    """What a call has not judged yet when a key is revoked does not hold."""
    codec, ring = _codec(library)
    lines = _line({"n": 1}) * 2_000
    started = threading.Event()

    def revoke() -> None:
        started.wait()
        ring.revoke(key_id_of(SECRET))

    thread = threading.Thread(target=revoke)
    thread.start()
    started.set()
    answers = codec.verify_ndjson(lines, tenant=TENANT, now=NOW).splitlines()
    thread.join()
    valid = [b'"valid":true' in answer for answer in answers]
    assert len(valid) == 2_000
    assert valid == sorted(valid, reverse=True)
    assert all(valid[at] or b'"revoked_key"' in answer for at, answer in enumerate(answers))
    assert b'"revoked_key"' in codec.verify_ndjson(lines[: len(_line({"n": 1}))], tenant=TENANT, now=NOW)


def test_threads_share_a_codec(library: SimpleNamespace) -> None:
    """Each of several threads gets the answers to its own lines and pairs."""
    codec, ring = _codec(library)
    ring.add(OTHER)

    def work(number: int) -> None:
        values = [{"n": n, "thread": number} for n in range(300)]
        secrets = [SECRET if (n + number) % 3 else OTHER for n in range(300)]
        lines = [_line(value, secret=secret) for value, secret in zip(values, secrets, strict=True)]
        lines[number] = b"{}\n"
        answers = codec.verify_ndjson(b"".join(lines), tenant=TENANT, now=NOW).splitlines()
        assert [b'"valid":true' in answer for answer in answers] == [n != number for n in range(300)]
        sigils = [json.loads(line).get("sigil", "") for line in lines]
        found = codec.verify_many(sigils, values, tenant=TENANT, now=NOW)
        assert [getattr(one, "text", "") for one in found] == sigils

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


@pytest.mark.parametrize(
    "verify",
    [
        lambda codec: codec.verify_ndjson(_line({"n": 1}) * 60_000, tenant=TENANT, now=NOW),
        lambda codec: codec.verify_ndjson(_line("x" * 200_000, secret=OTHER) * 100, tenant=TENANT, now=NOW),
        lambda codec: codec.verify_many([make_sigil(b"1")] * 100, ["x" * 262_144] * 100, tenant=TENANT),
    ],
)
def test_other_threads_run_while_many_are_verified(verify: Any) -> None:
    """The compiled backend holds nobody up."""
    codec, _ = _codec(load_backend("native"))
    # One is before the work begins. A busy machine may run the other thread late, but hardly each time.
    assert any(ticks_meanwhile(lambda: verify(codec)) > 2 for _ in range(20))


def test_nobody_changes_lines_that_are_verified(library: SimpleNamespace) -> None:
    """Lines may stand in memory that others write to: a copy is verified."""
    codec, _ = _codec(library)
    lines = bytearray(_line({"n": 1}) * 300)
    answers = codec.verify_ndjson(lines, tenant=TENANT, now=NOW)
    lines.clear()  # nobody holds on to it
    assert answers.count(b'"valid":true') == 300
