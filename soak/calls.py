"""What callers can ask, one call at a time, and what must come of it: scenarios are made of these."""

from __future__ import annotations

import json
import uuid
from collections import deque
from typing import Any, Final, NamedTuple

from soak.callers import Answer, Caller
from soak.judging import Before, Presented, judge_new, judge_page, judge_record, judge_verdict
from soak.ledger import Entry
from soak.payloads import altered, payload, respelled

#: How often a write with an idempotency key is tried, and how many seconds lie between two tries.
_TRIES: Final = 8
_PAUSE: Final = 0.5
#: What is presented to be verified, each as often as it stands here.
VERIFIES: Final = ("own",) * 5 + ("altered",) * 3 + ("revoked",) * 2 + ("foreign",)


class _Sent(NamedTuple):
    """A request with a key that was acknowledged, to be sent again."""

    tenant: str
    body: bytes
    key: str
    record: str
    acknowledged: float


class Working(Caller):
    """A caller that can make every kind of call; what it does is a scenario's business."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._sent: deque[_Sent] = deque(maxlen=8)

    def encode(self, tenant: str) -> None:
        """Seal a new payload, half of the time with a key to send it again with until it is answered."""
        serial = self.shared.ledger.serial()
        body = b'{"data":' + payload(serial) + b"}"
        key = (
            str(uuid.UUID(int=self.chance.getrandbits(128), version=4)) if self.chance.random() < 0.5 else ""
        )
        headers = {"Idempotency-Key": f'"{key}"'} if key else {}
        for _ in range(_TRIES if key else 1):
            answer = self.ask("encode", tenant, "", body, good=(201,), headers=headers)
            if answer.good:
                self._keep(answer, serial, body, key)
                return
            if not answer.ambiguous:
                return
            self.shared.ledger.possible(serial, tenant)
            self._sleep(_PAUSE)

    def encode_again(self) -> None:
        """Send an acknowledged request again: there must be one record."""
        if not self._sent:
            self.encode(self.appetite.tenant())
            return
        sent = self.chance.choice(self._sent)
        headers = {"Idempotency-Key": f'"{sent.key}"'}
        answer = self.ask("encode", sent.tenant, "", sent.body, good=(201,), headers=headers)
        if not answer.good:
            return
        if answer.value.get("id") == sent.record:
            self.done(answer)
        elif self.shared.outages.during(sent.acknowledged, answer.ended):
            # While the DNAStore is away nobody can ask for a key that was used before: there are two
            # records then, as the documents say.
            serial = int(json.loads(sent.body)["data"]["serial"])
            self.shared.ledger.possible(serial, sent.tenant)
            self._keep(answer, serial, sent.body, "")
        else:
            self.wrong(answer, "doubled", f"records {sent.record} and {answer.value.get('id')} for one key")

    def verify(self, tenant: str) -> None:
        """Have a record judged: as it is, altered, revoked, or another tenant's."""
        kind = self.chance.choice(VERIFIES)
        drawn = self.drawn(tenant, kind)
        if drawn is None:
            self.encode(tenant)
            return
        before, presented = drawn
        answer = self.ask("verify", tenant, "/verify", self.question(before.entry, presented))
        if answer.good:
            self._count_verdict(answer, presented, before)

    def get(self, tenant: str) -> None:
        """Ask for a record."""
        entry = self.shared.ledger.known(tenant)
        if entry is None:
            self.encode(tenant)
            return
        before = Before(entry)
        answer = self.ask("get", tenant, f"/{entry.id}", good=(200, 404))
        if not answer.good:
            return
        if answer.status == 404:
            self.wrong(answer, "lost", f"record {entry.id} is not found")
        elif found := judge_record(answer.value, before):
            self.wrong(answer, *found)
        else:
            self.done(answer)

    def get_foreign(self, tenant: str) -> None:
        """Ask for another tenant's record, or have it revoked: for this tenant there is none."""
        entry = self.shared.ledger.foreign(tenant)
        if entry is None:
            self.encode(tenant)
            return
        if self.chance.random() < 0.3:
            body = b'{"reason":"it is not mine"}'
            answer = self.ask("revoke", tenant, f"/{entry.id}/revoke", body, good=(200, 404))
        else:
            answer = self.ask("get", tenant, f"/{entry.id}", good=(200, 404))
        if answer.good and answer.status == 200:
            self.wrong(answer, "foreign_seen", f"record {entry.id} is of {entry.tenant}")
        elif answer.good:
            self.done(answer)

    def list(self, tenant: str) -> None:
        """Ask for the newest records."""
        status = self.chance.choice(("", "&status=active", "&status=revoked"))
        answer = self.ask("list", tenant, f"?limit=50{status}")
        if not answer.good:
            return
        if found := judge_page(answer.value, tenant):
            self.wrong(answer, *found)
        else:
            self.done(answer)

    def revoke(self, tenant: str) -> None:
        """Revoke a record."""
        entry = self.shared.ledger.known(tenant)
        if entry is None or entry.revoking:
            self.encode(tenant)
            return
        entry.revoking = True
        body = b'{"reason":"revoked by the soak"}'
        answer = self.ask("revoke", tenant, f"/{entry.id}/revoke", body, good=(200, 404))
        if answer.ambiguous:
            self.shared.ledger.revoke(entry, certain=False)
        if not answer.good:
            return
        if answer.status == 404:
            self.wrong(answer, "lost", f"record {entry.id} is not found")
            return
        self.shared.ledger.revoke(entry, certain=True)
        if answer.value.get("status") != "revoked":
            self.wrong(answer, "revoked_accepted", f"record {entry.id} was revoked and is not")
        else:
            self.done(answer)

    def _keep(self, answer: Answer, serial: int, body: bytes, key: str) -> None:
        """Judge a new record, and keep it."""
        said = answer.value
        if found := judge_new(said, serial, self.subject(answer.tenant)):
            self.wrong(answer, *found)
        else:
            self.done(answer, 1)
        entry = Entry(str(said.get("id")), answer.tenant, serial, str(said.get("sigil")))
        self.shared.ledger.acknowledge(entry)
        if key:
            self._sent.append(_Sent(answer.tenant, body, key, entry.id, answer.ended))

    def drawn(self, tenant: str, kind: str) -> tuple[Before, Presented] | None:
        """A record to be verified, and how it is presented."""
        ledger = self.shared.ledger
        if kind == "foreign":
            entry = ledger.foreign(tenant)
        else:
            entry = (ledger.revoked(tenant) if kind == "revoked" else None) or ledger.known(tenant)
        presented: Presented = "foreign" if kind == "foreign" else "altered" if kind == "altered" else "own"
        return None if entry is None else (Before(entry), presented)

    def question(self, entry: Entry, presented: Presented) -> bytes:
        """What is sent to have it verified, without newlines unless the text is written differently."""
        if presented == "altered":
            data = altered(entry.serial, self.chance)
        elif self.chance.random() < 0.3:
            data = respelled(entry.serial).replace(b"\n", b" ")
        else:
            data = payload(entry.serial)
        return b'{"sigil":"%s","data":%s}' % (entry.sigil.encode(), data)

    def _count_verdict(self, answer: Answer, presented: Presented, before: Before) -> None:
        outcome, wrong = judge_verdict(presented, before, answer.value)
        if outcome == "right":
            self.done(answer)
        elif outcome == "unknown" and self.excused(answer):
            self.refused(answer)
        elif outcome == "unknown":
            self.failed(answer, "revocation_unknown")
        else:
            self.wrong(answer, wrong, told(before.entry, presented, answer.value))


def told(entry: Entry, presented: Presented, said: dict[str, Any]) -> str:
    """How a verdict that is wrong is told."""
    return f"{presented} record {entry.id}: valid {said.get('valid')}, reason {said.get('reason')}"
