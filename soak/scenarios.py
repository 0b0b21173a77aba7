"""What callers do: a class for each scenario."""

from __future__ import annotations

import json
import uuid
from collections import deque
from typing import Any, ClassVar, Final, NamedTuple

from soak.callers import Answer, Caller
from soak.judging import (
    UNEXPECTED,
    Before,
    Presented,
    judge_new,
    judge_page,
    judge_record,
    judge_verdict,
)
from soak.ledger import Entry
from soak.payloads import altered, payload, respelled
from soak.results import Operation
from soak.tenants import GREEDY

#: How often a write with an idempotency key is tried, and how many seconds lie between two tries.
_TRIES: Final = 8
_PAUSE: Final = 0.5
_VERIFIES: Final = ("own",) * 5 + ("altered",) * 3 + ("revoked",) * 2 + ("foreign",)


class _Sent(NamedTuple):
    """A request with a key that was acknowledged, to be sent again."""

    tenant: str
    body: bytes
    key: str
    record: str
    acknowledged: float


class _Working(Caller):
    """What all scenarios are made of."""

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
        kind = self.chance.choice(_VERIFIES)
        drawn = self._drawn(tenant, kind)
        if drawn is None:
            self.encode(tenant)
            return
        before, presented = drawn
        answer = self.ask("verify", tenant, "/verify", self._question(before.entry, presented))
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

    def _drawn(self, tenant: str, kind: str) -> tuple[Before, Presented] | None:
        """A record to be verified, and how it is presented."""
        ledger = self.shared.ledger
        if kind == "foreign":
            entry = ledger.foreign(tenant)
        else:
            entry = (ledger.revoked(tenant) if kind == "revoked" else None) or ledger.known(tenant)
        presented: Presented = "foreign" if kind == "foreign" else "altered" if kind == "altered" else "own"
        return None if entry is None else (Before(entry), presented)

    def _question(self, entry: Entry, presented: Presented) -> bytes:
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
            self.wrong(answer, wrong, _told(before.entry, presented, answer.value))


def _told(entry: Entry, presented: Presented, said: dict[str, Any]) -> str:
    return f"{presented} record {entry.id}: valid {said.get('valid')}, reason {said.get('reason')}"


class Encode(_Working):
    """Seals, and sends some requests again."""

    scenario = "encode"
    main = "encode"

    def act(self) -> None:
        """Make one call."""
        if self.chance.random() < 0.15:
            self.encode_again()
        else:
            self.encode(self.appetite.tenant())


class Verify(_Working):
    """Verifies."""

    scenario = "verify"
    main = "verify"

    def act(self) -> None:
        """Make one call."""
        self.verify(self.appetite.tenant())


class Mixed(_Working):
    """Does what a usual client does, in turn."""

    scenario = "mixed"
    main = "encode"

    def act(self) -> None:
        """Make one call."""
        calls = (self.encode, self.verify, self.get, self.list, self.revoke, self.get_foreign)
        call = self.chance.choices(calls, (30, 30, 15, 10, 10, 5))[0]
        call(self.appetite.tenant())


class Batch(_Working):
    """Seals many at once, and verifies many at once."""

    scenario = "batch"
    main = "encode_batch"

    def act(self) -> None:
        """Make one call."""
        tenant = self.appetite.tenant()
        if self.chance.random() < 0.5:
            self._encode_many(tenant)
        else:
            self._verify_many(tenant)

    def _encode_many(self, tenant: str) -> None:
        serials = [self.shared.ledger.serial() for _ in range(self.shared.plan.batch)]
        body = b"".join(b'{"data":%s}\n' % payload(serial) for serial in serials) + b'{"data":[]}\n'
        answer = self.ask("encode_batch", tenant, "/batch", body, lines=True)
        if answer.ambiguous:
            for serial in serials:
                self.shared.ledger.possible(serial, tenant)
        if not answer.good:
            return
        said = [json.loads(line) for line in answer.body.splitlines()]
        if len(said) != len(serials) + 1 or "error" not in said[-1]:
            self.wrong(answer, UNEXPECTED, f"{len(said)} lines for {len(serials) + 1}")
            return
        found = None
        for serial, record in zip(serials, said, strict=False):
            found = judge_new(record, serial, self.subject(tenant)) or found
            self.shared.ledger.acknowledge(
                Entry(str(record.get("id")), tenant, serial, str(record.get("sigil")))
            )
        if found:
            self.wrong(answer, *found)
        else:
            self.done(answer, len(serials))

    def _verify_many(self, tenant: str) -> None:
        drawn = [self._drawn(tenant, self.chance.choice(_VERIFIES)) for _ in range(self.shared.plan.batch)]
        present = [one for one in drawn if one is not None]
        if not present:
            self._encode_many(tenant)
            return
        body = b"\n".join(self._question(before.entry, presented) for before, presented in present)
        answer = self.ask("verify_batch", tenant, "/verify/batch", body, lines=True)
        if not answer.good:
            return
        said = [json.loads(line) for line in answer.body.splitlines()]
        if len(said) != len(present):
            self.wrong(answer, UNEXPECTED, f"{len(said)} lines for {len(present)}")
            return
        unknown = False
        for (before, presented), verdict in zip(present, said, strict=True):
            outcome, wrong = judge_verdict(presented, before, verdict)
            unknown = unknown or outcome == "unknown"
            if outcome == "wrong":
                self.wrong(answer, wrong, _told(before.entry, presented, verdict))
                return
        if not unknown:
            self.done(answer)
        elif self.excused(answer):
            self.refused(answer)
        else:
            self.failed(answer, "revocation_unknown")


class _Bad(NamedTuple):
    """A request that must be refused, and with which code."""

    code: str
    body: bytes | None
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Errors(_Working):
    """Makes mistakes, and tries what it may not."""

    scenario = "errors"
    main = "bad_request"
    _BAD: ClassVar[tuple[_Bad, ...]] = (
        _Bad("syntax", b'{"data":{"a":1'),
        _Bad("duplicate_name", b'{"data":{"a":1,"a":2}}'),
        _Bad("integer_range", b'{"data":{"a":9007199254740993}}'),
        _Bad("lone_surrogate", b'{"data":{"a":"\\ud800"}}'),
        _Bad("invalid_utf8", b'{"data":{"a":"\xff"}}'),
        _Bad("invalid_request", b'{"data":[]}'),
        _Bad("invalid_request", b'{"data":{},"surprise":1}'),
        _Bad("unsupported_media_type", b'{"data":{}}', headers=(("Content-Type", "text/plain"),)),
        _Bad("invalid_idempotency_key", b'{"data":{}}', headers=(("Idempotency-Key", '""'),)),
        _Bad("invalid_query", None, "?limit=many"),
        _Bad("invalid_cursor", None, "?cursor=nowhere"),
        _Bad("body_too_large", b'{"data":{"a":"' + b"x" * 150_000 + b'"}}'),
    )

    def act(self) -> None:
        """Make one call."""
        tenant = self.appetite.tenant()
        what = self.chance.random()
        if what < 0.5:
            self._bad_request(tenant)
        elif what < 0.8:
            self._bad_token(tenant)
        else:
            self.get_foreign(tenant)

    def _bad_request(self, tenant: str) -> None:
        bad = self.chance.choice(self._BAD)
        answer = self.ask(
            "bad_request", tenant, bad.path, bad.body, good=(400, 413, 415, 422), headers=dict(bad.headers)
        )
        self._count_refusal(answer, bad.code)

    def _bad_token(self, tenant: str) -> None:
        key, subject = self.shared.signing_key, self.subject(tenant)
        kind = self.chance.randrange(7)
        tokens = (
            lambda: "garbage.of.somebody",
            lambda: key.token(tenant, subject, lifetime=-60),
            lambda: key.token(tenant, subject, lifetime=60, aud="another"),
            lambda: key.token(tenant, subject, lifetime=60, iss="https://another.example"),
            lambda: self.shared.other_key.token(tenant, subject, lifetime=60),
            lambda: key.token(tenant, subject, lifetime=60, roles=["sigil:read"]),
            lambda: key.token(None, subject, lifetime=60),
        )
        body = b'{"data":{"a":1}}'
        answer = self.ask("bad_token", tenant, "", body, good=(401, 403), token=tokens[kind]())
        self._count_refusal(answer, "forbidden" if kind >= 5 else "unauthenticated")

    def _count_refusal(self, answer: Answer, code: str) -> None:
        if not answer.good:
            return
        if answer.value.get("code") != code:
            self.wrong(answer, UNEXPECTED, f"{answer.status} {answer.value.get('code')} instead of {code}")
        else:
            self.done(answer)


class Greedy(_Working):
    """Asks for more than its tenant may, and must be told to wait."""

    scenario = "greedy"
    main: ClassVar[Operation] = "list"

    def act(self) -> None:
        """Make one call."""
        answer = self.ask("list", GREEDY, "?limit=1")
        if answer.good:
            self.done(answer)


CLASSES: Final[dict[str, type[_Working]]] = {
    one.scenario: one for one in (Encode, Verify, Mixed, Batch, Errors, Greedy)
}
