"""At the end: every acknowledged record is found, once, as it was sealed, and nothing else is there."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Final

from soak.client import Client, Reply
from soak.judging import UNEXPECTED, Violations
from soak.ledger import Acknowledged, Ledgers
from soak.payloads import payload
from soak.plan import LARGEST_BODY

_PAGE: Final = 200
#: Lines and bytes of a batch: what the service takes at once.
_LINES: Final = 1000
_BODY: Final = LARGEST_BODY - 2000
_TRIES: Final = 5
#: Of those that are missing, so many are named.
_NAMED: Final = 1000
#: Tenants at a time. More of them wait for each other.
_WALKS: Final = 4


class CheckError(Exception):
    """The records cannot be looked at; the message says why."""


class FinalCheck:
    """Walks through every tenant's listing, and has every record verified with its payload."""

    def __init__(self, new_client: Callable[[], Client], ledgers: Ledgers, violations: Violations) -> None:
        self._new_client = new_client
        self._ledgers = ledgers
        self._violations = violations
        self._lock = threading.Lock()
        self._ending = threading.Event()
        #: Records that were found.
        self.found = 0

    def run(self, tell: Callable[[int], None] = lambda _: None) -> int:
        """Look for all; how many acknowledged records were looked for.

        Raises:
            CheckError: the service does not answer.
        """
        with ThreadPoolExecutor(_WALKS) as pool:
            walks = [pool.submit(self._walk, tenant) for tenant in self._ledgers.tenants()]
            try:
                left = True
                while left:
                    done, waiting = wait(walks, 0.5, FIRST_EXCEPTION)
                    for walk in done:
                        walk.result()
                    left = bool(waiting)
                    tell(self.found)
            finally:
                self._ending.set()
                pool.shutdown(wait=False, cancel_futures=True)
        self._name_missing()
        return self._ledgers.count()

    def _name_missing(self) -> None:
        missing = self._ledgers.unseen_count()
        with self._new_client() as client:
            for record in self._ledgers.unseen(_NAMED):
                got = client.ask(record.tenant, f"/{record.id}")
                detail = f"record {record.id} is in no listing, and a get answers {got.status}"
                self._violations.add("lost", "list", record.tenant, detail)
        if missing > _NAMED:
            self._violations.add("lost", "list", "", f"{missing} acknowledged records are missing in all")

    def _walk(self, tenant: str) -> None:
        with self._new_client() as lister, self._new_client() as client, ThreadPoolExecutor(1) as checker:
            walk = _Walk(lister, client, tenant, self._ledgers, self._violations)
            checked = None
            for page in walk.pages():
                # A page is checked while the next one is asked for.
                if checked is not None:
                    checked.result()
                if self._ending.is_set():
                    return
                checked = checker.submit(self._count_page, walk, page)
            if checked is not None:
                checked.result()

    def _count_page(self, walk: _Walk, page: Sequence[dict[str, Any]]) -> None:
        known = walk.check_page(page)
        with self._lock:
            self.found += known


class _Walk:
    """One tenant's records."""

    def __init__(
        self, lister: Client, client: Client, tenant: str, ledgers: Ledgers, violations: Violations
    ) -> None:
        self._lister = lister
        self._client = client
        self._tenant = tenant
        self._ledgers = ledgers
        self._violations = violations

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """Its listing."""
        tenant = self._tenant
        cursor = ""
        while True:
            page = self._asked(self._lister, f"?limit={_PAGE}{cursor}").value
            for withheld in page.get("withheld", ()):
                self._violations.add("changed", "list", tenant, f"record {withheld} is withheld")
            yield page["sigils"]
            if not page.get("next_cursor"):
                return
            cursor = f"&cursor={page['next_cursor']}"

    def _asked(self, client: Client, path: str, body: bytes | None = None) -> Reply:
        tenant = self._tenant
        for _ in range(_TRIES):
            reply = client.ask(tenant, path, body, lines=body is not None)
            if reply.status == 200:
                return reply
        raise CheckError(f"{path.partition('&')[0]} for {tenant}: {reply.status} {reply.value.get('code')}")

    def check_page(self, page: Sequence[dict[str, Any]]) -> int:
        """Check one page; how many records of it are known."""
        if not page:
            return 0
        tenant = self._tenant
        ids = [str(said["id"]) for said in page]
        known = self._ledgers.find(ids)
        present: list[tuple[Acknowledged, bytes]] = []
        for said in page:
            record = known.get(str(said["id"]))
            if record is None:
                self._check_surplus(str(said["id"]))
            elif record.tenant != tenant:
                self._violations.add("foreign_seen", "list", tenant, f"{record.id} is of {record.tenant}")
            else:
                sent = payload(record.serial)
                self._check_listed(record, sent, said)
                present.append((record, b'{"sigil":"%s","data":%s}' % (record.sigil.encode(), sent)))
        for batch in batches_of(present):
            self._verify(batch)
        self._ledgers.see([record.id for record, _ in present])
        return len(known)

    def _check_listed(self, record: Acknowledged, sent: bytes, said: dict[str, Any]) -> None:
        if said["canonical_sha256"] != hashlib.sha256(sent).hexdigest() or said["sigil"] != record.sigil:
            self._violations.add("changed", "list", record.tenant, f"record {record.id} is another")
        if record.revoked == "yes" and said["status"] != "revoked":
            detail = f"record {record.id} was revoked and is {said['status']}"
            self._violations.add("revoked_accepted", "list", record.tenant, detail)
        if record.revoked == "no" and said["status"] != "active":
            detail = f"record {record.id} was never revoked and is {said['status']}"
            self._violations.add("changed", "list", record.tenant, detail)

    def _verify(self, batch: Sequence[tuple[Acknowledged, bytes]]) -> None:
        """Have the sigils that were acknowledged verified with the payloads that were sent."""
        tenant = self._tenant
        body = b"\n".join(line for _, line in batch)
        answered = self._asked(self._client, "/verify/batch", body).body.splitlines()
        if len(answered) != len(batch):
            raise CheckError(f"{len(answered)} answers for {len(batch)} lines of {tenant}")
        for (record, _), line in zip(batch, answered, strict=True):
            said = json.loads(line)
            outcome = f"valid {said.get('valid')}, reason {said.get('reason')}"
            if record.revoked == "yes" and said.get("reason") != "revoked":
                self._violations.add("revoked_accepted", "verify_batch", tenant, f"{record.id}: {outcome}")
            if record.revoked == "no" and said.get("valid") is not True:
                self._violations.add("valid_refused", "verify_batch", tenant, f"{record.id}: {outcome}")

    def _check_surplus(self, id_: str) -> None:
        """Judge a record that nobody has acknowledged: where an answer was lost, there may be one."""
        tenant = self._tenant
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


def batches_of(
    lines: Sequence[tuple[Acknowledged, bytes]],
) -> Iterator[Sequence[tuple[Acknowledged, bytes]]]:
    """Cut so that each is within what one body may have."""
    batch: list[tuple[Acknowledged, bytes]] = []
    size = 0
    for line in lines:
        if len(batch) == _LINES or (batch and size + len(line[1]) + 1 > _BODY):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line[1]) + 1
    if batch:
        yield batch
