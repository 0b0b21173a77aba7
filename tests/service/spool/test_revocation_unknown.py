"""What a good sigil is while the store cannot be asked whether it is revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from core.engine import Engine
from core.records import CanonicalJson
from core.seals import Seals
from core.verdict import Verdict
from sigil_native import KeyRing, VerifyRequests
from tests.service.spool.switch import Switch, spooled, sql_store

PAYLOAD = CanonicalJson(b"{}")


def outcome(verdict: object) -> tuple[bool, str | None, str, bool]:
    """What is asked about here."""
    assert isinstance(verdict, Verdict)
    return verdict.valid, verdict.reason, verdict.revocation, verdict.stale


@pytest.mark.parametrize("policy", ["invalid", "accept"])
async def test_the_policy(tmp_path: Path, policy: Literal["invalid", "accept"]) -> None:
    """It decides on what nobody here knows; what waits here is known, and a forgery stays one."""
    ring = KeyRing()
    ring.add("s" * 32)
    switch = Switch(sql_store(tmp_path))
    engine = Engine(Seals(ring), spooled(switch, tmp_path), revocation_unknown=policy)
    there = await engine.encode("acme", "me", PAYLOAD, expires_in=None)
    switch.mode = "down"
    here = await engine.encode("acme", "me", PAYLOAD, expires_in=None)
    revoked = await engine.encode("acme", "me", PAYLOAD, expires_in=None)
    await engine.revoke("acme", "me", revoked.id, reason="r")
    accepted = policy == "accept"
    expected = [
        (accepted, None if accepted else "revocation_unknown", "unknown", False),
        (True, None, "not_revoked", True),
        (False, "revoked", "revoked", True),
    ]
    sigils = [one.sigil for one in (there, here, revoked)]
    assert [outcome(await engine.verify("acme", one, PAYLOAD)) for one in sigils] == expected
    lines = b"\n".join(b'{"sigil":"%b","data":{}}' % one.encode() for one in sigils)
    requests = VerifyRequests(lines, most=9)
    assert requests.read(0, len(sigils)) == []
    many = await engine.verify_requests("acme", requests)
    assert [outcome(many.kinds[place]) for place in many.chosen] == expected
    forged = await engine.verify("acme", there.sigil, CanonicalJson(b"[]"))
    assert outcome(forged)[:2] == (False, "tag_mismatch")
    await engine.close()
    await switch.store.close()
