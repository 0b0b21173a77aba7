"""A batch's lines are judged and answered as requests of their own are, though most take a shorter way."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.api.audit_members import verified
from app.api.batch_verification import BatchVerification
from app.api.requests import payload_of, read_request
from app.api.schemas import VerifyRequest, verify_answer
from app.http.problems import ProblemError
from core.engine import Engine
from core.errors import PayloadMissingError, RecordCorruptError
from core.records import Record
from core.seals import Seals
from core.verdict import Verdict
from sigil_native import KeyRing, VerifyRequests
from sigil_native.errors import CanonicalizationError
from tests.parity.strategies import nearly_json
from tests.parity.test_parity_verdicts import SECRETS, verify_lines
from tests.sigils import TENANT

_decoder = msgspec.json.Decoder(VerifyRequest)
_encode = msgspec.json.Encoder().encode

bodies = st.lists(verify_lines() | nearly_json() | st.sampled_from([b"", b" \r"]), min_size=1, max_size=6)


class Records:
    """A store whose records are as the last digits of ids say: kept, revoked, stale, damaged, or none."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get_many(self, tenant: str, record_ids: Sequence[str]) -> Mapping[str, Any]:
        """See Store.get_many."""
        assert tenant == TENANT
        self.asked += record_ids
        found = {one: self._record(one) for one in record_ids}
        return {one: record for one, record in found.items() if record is not None}

    async def get(self, tenant: str, record_id: str, *, with_payload: bool) -> Any:
        """See Store.get."""
        found = (await self.get_many(tenant, [record_id])).get(record_id)
        if isinstance(found, Exception):
            raise found
        return found

    def _record(self, record_id: str) -> Record | RecordCorruptError | None:
        digit = int(record_id[-1], 16)
        if digit == 4:
            return RecordCorruptError(record_id, "x")
        revoked = 1 if digit == 2 else None
        record = Record(TENANT, record_id, "", 0, 0, 0, None, b"", 0, "", revoked, stale=digit == 3)
        return record if 1 <= digit <= 3 else None


class Noted:
    """What one batch leaves behind: a context, an audit log and a payment."""

    def __init__(self) -> None:
        self.caller = SimpleNamespace(tenant=TENANT, named=dict)
        self.request_id = b"r"
        self.audited: list[Any] = []
        self.set_apart = 0
        self.outcomes: Mapping[str, int] = {}
        self.reasons: Mapping[str, int] = {}

    async def pay(self, *_: object) -> None:
        """See Payment.pay."""

    async def set_aside(self, lines: int) -> None:
        """See Audit.set_aside."""
        self.set_apart += lines

    def give_back(self, lines: int) -> None:
        """See Audit.give_back."""
        self.set_apart -= lines

    async def write_all(self, event: str, lines: Sequence[Any]) -> None:
        """See Audit.write_all."""
        assert self.set_apart >= len(lines)
        assert event == "sigil.verified"
        assert len(lines) == len(list(lines))
        self.audited += lines

    def add_outcomes(self, outcomes: Mapping[str, int], reasons: Mapping[str, int]) -> None:
        """See Context.add_outcomes."""
        self.outcomes, self.reasons = outcomes, reasons


async def alone(engine: Engine, text: bytes) -> Verdict | None:
    """The verdict that a request of its own would get; None for one that is refused."""
    try:
        request = read_request(text, _decoder)
        payload = None if request.data is msgspec.UNSET else payload_of(request.data)
        return await engine.verify(TENANT, request.sigil, payload)
    except (CanonicalizationError, PayloadMissingError, ProblemError):
        return None


async def compare(lines: list[bytes]) -> None:
    """Judge lines together and one by one."""
    ring = KeyRing()
    states: tuple[Literal["active", "verify-only", "revoked"], ...] = ("active", "verify-only", "revoked")
    for secret, state in zip(SECRETS, states, strict=False):
        ring.add(secret, state)
    store, noted, other = Records(), Noted(), Records()
    engine = Engine(Seals(ring), cast("Any", store))
    requests = VerifyRequests(b"\n".join(lines), most=99)
    verification = BatchVerification(engine, cast("Any", noted), cast("Any", noted))
    by_itself = Engine(Seals(ring), cast("Any", other))
    verdicts = [await alone(by_itself, requests.text(place)) for place in range(len(requests))]
    shown = [None if verdict is None else _encode(verify_answer(verdict)) for verdict in verdicts]
    answers = (await verification.answers(cast("Any", noted), requests, 0)).splitlines()
    refused = [bool(re.match(rb'{"error":', answer)) for answer in answers]
    assert refused == [verdict is None for verdict in verdicts]
    assert [
        None if is_refused else answer for is_refused, answer in zip(refused, answers, strict=True)
    ] == shown
    judged = [verdict for verdict in verdicts if verdict is not None]
    assert noted.audited == [{"request_id": "r", **verified(verdict)} for verdict in judged]
    assert store.asked == other.asked
    reasons = Counter(verdict.reason for verdict in judged if verdict.reason is not None)
    valid, invalid = len(judged) - reasons.total(), reasons.total()
    assert noted.reasons == reasons
    assert noted.outcomes == {"valid": valid, "invalid": invalid, "refused": len(verdicts) - len(judged)}
    assert bool(verification.headers()) == any(verdict.stale for verdict in judged)


@given(bodies)
def test_the_short_way_judges_the_same(lines: list[bytes]) -> None:
    """Verdicts, answers, what is audited and counted, and whom the store is asked about are the same."""
    asyncio.run(compare(lines))
