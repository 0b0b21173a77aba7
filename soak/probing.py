"""Whether all is well: each operation once, by a tenant of its own."""

from __future__ import annotations

from soak.client import Client
from soak.faults import Planned
from soak.ledger import Entry, Ledger
from soak.payloads import payload
from soak.stand import Stand
from soak.tenants import PROBE, SigningKey


class Probe:
    """Tries every operation; its records are acknowledged ones like all others."""

    def __init__(self, stand: Stand, client: Client, ledger: Ledger) -> None:
        self._stand = stand
        self._client = client
        self._ledger = ledger
        self._other_key = SigningKey.new()
        self._fetches = 0.0

    def is_well(self, planned: Planned, ended: float) -> bool:
        """Whether all operations succeed, with nothing stale, and what had failed is used again."""
        del ended
        # Each time another worker may answer: a connection stays with one.
        self._client.close()
        if not self._all_succeed():
            return False
        if planned.target == "redis":
            return self._stand.readiness().get("limits") == "ok"
        if planned.target == "keys":
            return self._is_refused() and self._stand.key_fetches() > self._fetches
        return True

    def remember_fetches(self) -> None:
        """Note how often the key set was fetched before a fault is over."""
        self._fetches = self._stand.key_fetches()

    def _is_refused(self) -> bool:
        """Whether a token of an unknown key is judged again, which takes a key set that can be asked for."""
        token = self._other_key.token(PROBE, self._client.subject(PROBE), lifetime=60)
        answer = self._client.ask(PROBE, "?limit=1", token=token)
        return answer.status == 401 and answer.value.get("code") == "unauthenticated"

    def _all_succeed(self) -> bool:
        entry = self._encoded()
        if entry is None:
            return False
        got = self._client.ask(PROBE, f"/{entry.id}")
        if got.status != 200 or got.stale or not self._verifies(entry):
            return False
        entry.revoking = True
        revoked = self._client.ask(PROBE, f"/{entry.id}/revoke", b'{"reason":"a probe"}')
        self._ledger.revoke(entry, certain=revoked.status == 200)
        listed = self._client.ask(PROBE, "?limit=1")
        self._ledger.flush()
        return revoked.status == 200 and listed.status == 200 and not listed.stale

    def _encoded(self) -> Entry | None:
        serial = self._ledger.serial()
        made = self._client.ask(PROBE, "", b'{"data":%s}' % payload(serial))
        if made.status != 201:
            self._ledger.possible(serial, PROBE)
            return None
        entry = Entry(made.value["id"], PROBE, serial, made.value["sigil"])
        self._ledger.acknowledge(entry)
        return entry

    def _verifies(self, entry: Entry) -> bool:
        body = b'{"sigil":"%s","data":%s}' % (entry.sigil.encode(), payload(entry.serial))
        return self._client.ask(PROBE, "/verify", body).value.get("valid") is True
