"""What callers do: a class for each scenario."""

from __future__ import annotations

import json
from typing import ClassVar, Final, NamedTuple

from soak.callers import Answer
from soak.calls import VERIFIES, Working, told
from soak.judging import UNEXPECTED, judge_new, judge_verdict
from soak.ledger import Entry
from soak.payloads import payload
from soak.results import Operation
from soak.tenants import GREEDY


class Encode(Working):
    """Seals, and sends some requests again."""

    scenario = "encode"
    main = "encode"

    def act(self) -> None:
        """Make one call."""
        if self.chance.random() < 0.15:
            self.encode_again()
        else:
            self.encode(self.appetite.tenant())


class Verify(Working):
    """Verifies."""

    scenario = "verify"
    main = "verify"

    def act(self) -> None:
        """Make one call."""
        self.verify(self.appetite.tenant())


class Mixed(Working):
    """Does what a usual client does, in turn."""

    scenario = "mixed"
    main = "encode"

    def act(self) -> None:
        """Make one call."""
        calls = (self.encode, self.verify, self.get, self.list, self.revoke, self.get_foreign)
        call = self.chance.choices(calls, (30, 30, 15, 10, 10, 5))[0]
        call(self.appetite.tenant())


class Batch(Working):
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
        drawn = [self.drawn(tenant, self.chance.choice(VERIFIES)) for _ in range(self.shared.plan.batch)]
        present = [one for one in drawn if one is not None]
        if not present:
            self._encode_many(tenant)
            return
        body = b"\n".join(self.question(before.entry, presented) for before, presented in present)
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
                self.wrong(answer, wrong, told(before.entry, presented, verdict))
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


class Errors(Working):
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


class Greedy(Working):
    """Asks for more than its tenant may, and must be told to wait."""

    scenario = "greedy"
    main: ClassVar[Operation] = "list"

    def act(self) -> None:
        """Make one call."""
        answer = self.ask("list", GREEDY, "?limit=1")
        if answer.good:
            self.done(answer)


CLASSES: Final[dict[str, type[Working]]] = {
    one.scenario: one for one in (Encode, Verify, Mixed, Batch, Errors, Greedy)
}
