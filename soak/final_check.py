"""At the end: every acknowledged record is found, once, as it was sealed, and nothing else is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from soak.client import Client, Reply
from soak.judging import UNEXPECTED, Violations
from soak.ledger import Acknowledged, Ledgers
from soak.payloads import digest, payload

_PAGE: Final = 200
_BATCH: Final = 40
_TRIES: Final = 5


class CheckError(Exception):
    """The records cannot be looked at; the message says why."""


class FinalCheck:
    """Walks through every tenant's listing, and has every record verified with its payload."""

    def __init__(self, client: Client, ledgers: Ledgers, violations: Violations) -> None:
        self._client = client
        self._ledgers = ledgers
        self._violations = violations
        #: Records that were found.
        self.found = 0
        #: Records that nobody acknowledged, but may be there.
        self.surplus = 0

    def run(self, tell: Callable[[int], None] = lambda _: None) -> int:
        """Look for all; how many acknowledged records were looked for.

        Raises:
            CheckError: the service does not answer.
        """
        for tenant in self._ledgers.tenants():
            for page in self._pages(tenant):
                self._check_page(tenant, page)
                tell(self.found)
        missing = self._ledgers.unseen_count()
        for record in self._ledgers.unseen(1000):
            got = self._client.ask(record.tenant, f"/{record.id}")
            detail = f"record {record.id} is in no listing, and a get answers {got.status}"
            self._violations.add("lost", "list", record.tenant, detail)
        if missing > 1000:
            self._violations.add("lost", "list", "", f"{missing} acknowledged records are missing in all")
        return self._ledgers.count()

    def _pages(self, tenant: str) -> Iterator[list[dict[str, Any]]]:
        cursor = ""
        while True:
            page = self._asked(tenant, f"?limit={_PAGE}{cursor}").value
            for withheld in page.get("withheld", ()):
                self._violations.add("changed", "list", tenant, f"record {withheld} is withheld")
            yield page["sigils"]
            if not page.get("next_cursor"):
                return
            cursor = f"&cursor={page['next_cursor']}"

    def _asked(self, tenant: str, path: str, body: bytes | None = None) -> Reply:
        for _ in range(_TRIES):
            reply = self._client.ask(tenant, path, body, lines=body is not None)
            if reply.status == 200:
                return reply
        raise CheckError(f"{path.partition('&')[0]} for {tenant}: {reply.status} {reply.value.get('code')}")

    def _check_page(self, tenant: str, page: Sequence[dict[str, Any]]) -> None:
        if not page:
            return
        ids = [str(said["id"]) for said in page]
        known = self._ledgers.find(ids)
        present = []
        for said in page:
            record = known.get(str(said["id"]))
            if record is None:
                self._check_surplus(tenant, str(said["id"]))
            elif record.tenant != tenant:
                self._violations.add("foreign_seen", "list", tenant, f"{record.id} is of {record.tenant}")
            else:
                self._check_listed(record, said)
                present.append(record)
        # Of the largest payloads so many are within the largest body.
        for at in range(0, len(present), _BATCH):
            self._verify(tenant, present[at : at + _BATCH])
        self._ledgers.see([record.id for record in present])
        self.found += len(present)

    def _check_listed(self, record: Acknowledged, said: dict[str, Any]) -> None:
        if said["canonical_sha256"] != digest(record.serial) or said["sigil"] != record.sigil:
            self._violations.add("changed", "list", record.tenant, f"record {record.id} is another")
        if record.revoked == "yes" and said["status"] != "revoked":
            detail = f"record {record.id} was revoked and is {said['status']}"
            self._violations.add("revoked_accepted", "list", record.tenant, detail)
        if record.revoked == "no" and said["status"] != "active":
            detail = f"record {record.id} was never revoked and is {said['status']}"
            self._violations.add("changed", "list", record.tenant, detail)

    def _verify(self, tenant: str, records: Sequence[Acknowledged]) -> None:
        """Have the sigils that were acknowledged verified with the payloads that were sent."""
        if not records:
            return
        body = b"\n".join(
            b'{"sigil":"%s","data":%s}' % (one.sigil.encode(), payload(one.serial)) for one in records
        )
        answered = self._asked(tenant, "/verify/batch", body).body.splitlines()
        for record, line in zip(records, answered, strict=True):
            said = json.loads(line)
            outcome = f"valid {said.get('valid')}, reason {said.get('reason')}"
            if record.revoked == "yes" and said.get("reason") != "revoked":
                self._violations.add("revoked_accepted", "verify_batch", tenant, f"{record.id}: {outcome}")
            if record.revoked == "no" and said.get("valid") is not True:
                self._violations.add("valid_refused", "verify_batch", tenant, f"{record.id}: {outcome}")

    def _check_surplus(self, tenant: str, id_: str) -> None:
        """Judge a record that nobody has acknowledged: where an answer was lost, there may be one."""
        self.surplus += 1
        got = self._client.ask(tenant, f"/{id_}").value
        serial = (got.get("data") or {}).get("serial")
        if not isinstance(serial, int):
            self._violations.add(UNEXPECTED, "list", tenant, f"nobody has sealed record {id_}")
            return
        others = self._ledgers.of_serial(serial)
        possible = self._ledgers.possible(serial)
        if possible == tenant:
            return
        if possible is not None or any(record.tenant != tenant for record in others):
            self._violations.add("foreign_seen", "list", tenant, f"record {id_} is of another tenant")
        elif others:
            detail = f"records {others[0].id} and {id_} for one request"
            self._violations.add("doubled", "list", tenant, detail)
        else:
            self._violations.add(UNEXPECTED, "list", tenant, f"nobody has sealed record {id_}")
