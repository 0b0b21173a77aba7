"""A key ring that changes while an engine uses it."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.server.reloading import ReloadRefusedError
from app.server.ring_reloading import RingReloading
from core.engine import Engine
from core.keys import ring_digest, ring_from
from core.records import CanonicalJson
from core.seals import Seals
from core.settings import load_key_settings
from core.store.sql_store import SqlStore
from sigil_native import KeyRing, SigilCodec
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from tests.service.keys.key_rotation import ways_to_spoil
from tests.sigils import key_id_of

_T = TypeVar("_T")
A, B, C = (bytes([letter]) * 32 for letter in b"ABC")
PAYLOAD = CanonicalJson(b"{}")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key ring file with one key, which the settings name."""
    path = tmp_path / "keys.json"
    write_key_ring_file(path, [KeyEntry(A)])
    only(monkeypatch, SIGIL_KEYRING=str(path))
    return path


def only(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Have these settings and no others."""
    for name in ("SIGIL_KEYRING", "SPIRAL_EVENT_SECRET", "SPIRAL_EVENT_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def engine(tmp_path: Path) -> Any:
    """An engine with the ring that the settings give when the test uses it first."""
    store = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    engine = Engine(Seals(KeyRing()), store)
    yield engine
    await engine.close()


def reloading(engine: Engine, fallback: str | None = None) -> RingReloading:
    """What watches over the ring of the settings, which the engine begins to use."""
    ring = ring_from(load_key_settings(), fallback)
    engine._seals.use_ring(ring)
    return RingReloading(ring, engine._seals, fallback)


def write(path: Path, *entries: KeyEntry) -> None:
    """Replace the ring."""
    write_key_ring_file(path, entries, replace=True)


async def signer(engine: Engine) -> int:
    """The key that signs."""
    return (await engine.encode("t", "s", PAYLOAD, expires_in=None)).key_id


async def test_change_is_used_and_described(engine: Engine, path: Path) -> None:
    """Added, removed and changed keys are named with their states; what was sealed before verifies."""
    write(path, KeyEntry(A), KeyEntry(C))
    keys = reloading(engine)
    record = await engine.encode("t", "s", PAYLOAD, expires_in=None)
    write(path, KeyEntry(C, "verify-only", retire_at=4102444800), KeyEntry(B))
    done = keys.reload()
    a, b, c = (f"{key_id_of(secret):08x}" for secret in (A, B, C))
    difference = {
        "added": f"{b} active",
        "removed": f"{a} active",
        "changed": f"{c} active -> verify-only until 2100-01-01T00:00:00.000Z",
    }
    assert (done.changed, done.audited) == (True, difference)
    assert done.facts == {"ring": ring_digest(KeyRing.load(path)), "keys": "2", "signs": b, **difference}
    assert await signer(engine) == key_id_of(B)
    verdict = await engine.verify("t", record.sigil, PAYLOAD)
    assert (verdict.valid, verdict.key_state) == (True, "verify-only")


async def test_nothing_new(engine: Engine, path: Path) -> None:
    """The same keys, written otherwise, are no change."""
    keys = reloading(engine)
    compact = json.dumps(json.loads(path.read_bytes()))  # noqa: ASYNC240 - nothing waits
    path.write_text(compact)  # noqa: ASYNC240
    assert keys.reload()[0::2] == (False, {})


async def test_order_alone(engine: Engine, path: Path) -> None:
    """Of two keys that may sign the last does: their order is a change like others."""
    write(path, KeyEntry(A), KeyEntry(B))
    keys = reloading(engine)
    assert await signer(engine) == key_id_of(B)
    write(path, KeyEntry(B), KeyEntry(A))
    done = keys.reload()
    assert list(done.audited) == ["order"]
    assert await signer(engine) == key_id_of(A)


async def test_long_lists_are_cut(engine: Engine, path: Path) -> None:
    """A line of the log names some of many keys."""
    keys = reloading(engine)
    write(path, KeyEntry(A), *(KeyEntry(bytes([n]) * 32) for n in range(100, 200)))
    done = keys.reload()
    assert done.audited["added"].count(";") == 20
    assert done.audited["added"].endswith("; and 80 more")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "empty"),
        ([KeyEntry(A, "verify-only")], "no_active_key"),
        ([KeyEntry(A, "verify-only"), KeyEntry(B, not_before=4102444800)], "no_active_key"),
        ([KeyEntry(A, retire_at=1)], "no_active_key"),
    ],
)
async def test_ring_that_cannot_sign(
    engine: Engine, path: Path, entries: list[KeyEntry], reason: str
) -> None:
    """A ring that would stop every encode is taken for a mistake; the earlier one stays."""
    keys = reloading(engine)
    write(path, *entries)
    with pytest.raises(ReloadRefusedError) as caught:
        keys.reload()
    assert caught.value.reason == reason
    assert await signer(engine) == key_id_of(A)


async def test_revocation_is_obeyed_at_any_price(engine: Engine, path: Path) -> None:
    """A ring that revokes a key is used even if nothing can be sealed then."""
    keys = reloading(engine)
    record = await engine.encode("t", "s", PAYLOAD, expires_in=None)
    write(path, KeyEntry(A, "revoked"))
    assert keys.reload().changed
    verdict = await engine.verify("t", record.sigil, PAYLOAD)
    assert (verdict.valid, verdict.reason) == (False, "revoked_key")
    # Nothing could be sealed before either: no reason to refuse another such ring.
    write(path, KeyEntry(A, "revoked"), KeyEntry(B, "verify-only"))
    assert keys.reload().changed


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "garbage", "other JSON", "weak", "twice", "large", "missing", "folder"]
)
async def test_bad_ring(engine: Engine, path: Path, how: str) -> None:
    """A file that is no key ring leaves the earlier ring in use; what is said shows no secret."""
    keys = reloading(engine)
    ways_to_spoil(path)[how]()
    keys.fingerprint()
    with pytest.raises(ReloadRefusedError) as caught:
        keys.reload()
    assert str(caught.value).startswith("SIGIL_KEYRING: ")
    assert caught.value.reason == "unusable"
    assert "hunter2" not in str(caught.value)
    assert await signer(engine) == key_id_of(A)


async def test_secrets_from_files(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of secrets are read again, as strictly as at the start."""
    current, previous = tmp_path / "current", tmp_path / "previous"
    current.write_bytes(A)
    previous.write_text("")
    only(monkeypatch, SPIRAL_EVENT_SECRET_FILE=str(current), SPIRAL_EVENT_SECRET_PREVIOUS_FILE=str(previous))
    keys = reloading(engine)
    record = await engine.encode("t", "s", PAYLOAD, expires_in=None)
    before = keys.fingerprint()
    previous.write_bytes(A + b"\n" + B + b"\n")
    assert keys.fingerprint() != before
    assert keys.reload().audited == {"added": f"{key_id_of(B):08x} verify-only"}
    current.write_bytes(B + b"\n")
    assert keys.reload().changed
    assert await signer(engine) == key_id_of(B)
    assert (await engine.verify("t", record.sigil, PAYLOAD)).valid
    for content in (b"", b"short", b"\xff" * 40):
        current.write_bytes(content)
        with pytest.raises(ReloadRefusedError, match="SPIRAL_EVENT_SECRET"):
            keys.reload()
    assert await signer(engine) == key_id_of(B)


async def test_secret_of_the_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload of what cannot change says where it comes from; development's own secret likewise."""
    for fallback, variables in ((None, {"SPIRAL_EVENT_SECRET": "s" * 32}), ("f" * 32, {})):
        only(monkeypatch, **variables)
        keys = reloading(engine, fallback)
        done = keys.reload()
        assert (done.changed, "restart" in done.facts["source"]) == (False, True)
        assert keys.fingerprint() == keys.fingerprint()


async def test_earlier_secrets_beside_a_fixed_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of earlier secrets is read again beside a secret that cannot change, development's included."""
    previous = tmp_path / "previous"
    for fallback, variables in ((None, {"SPIRAL_EVENT_SECRET": A.decode()}), (A.decode(), {})):
        previous.write_text("")
        only(monkeypatch, **variables, SPIRAL_EVENT_SECRET_PREVIOUS_FILE=str(previous))
        keys = reloading(engine, fallback)
        previous.write_bytes(B)
        assert keys.reload().audited == {"added": f"{key_id_of(B):08x} verify-only"}
        assert await signer(engine) == key_id_of(A)


async def test_times_need_no_reload(engine: Engine, path: Path) -> None:
    """The next key takes over, and the last one retires, at their moments; verdicts say so then."""
    moment = time.time() + 0.5
    write(path, KeyEntry(A, retire_at=moment), KeyEntry(B, not_before=moment))
    reloading(engine)
    old = await engine.encode("t", "s", PAYLOAD, expires_in=None)
    ring = KeyRing()
    ring.add(B)
    new = SigilCodec(ring).encode_json(PAYLOAD, tenant="t")
    seen = []
    for sigil in (old.sigil, new):
        verdict = await engine.verify("t", sigil, PAYLOAD)
        seen.append((verdict.key_state, verdict.valid))
    if time.time() < moment:
        assert seen == [("active", True), ("not_yet_valid", False)]
        assert old.key_id == key_id_of(A)
    await asyncio.sleep(moment - time.time() + 0.01)
    assert (await engine.verify("t", old.sigil, PAYLOAD)).key_state == "retired"
    verdict = await engine.verify("t", new, PAYLOAD)
    assert (verdict.key_state, verdict.valid) == ("active", True)
    assert await signer(engine) == key_id_of(B)


class Rotations(RuleBasedStateMachine):
    """A ring whose file is changed in every way; a dictionary tells which ring is in use."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "keys.json"
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        only(self.patch, SIGIL_KEYRING=str(self.path))
        write_key_ring_file(self.path, [KeyEntry(A)])
        self.engine = Engine(Seals(KeyRing()), SqlStore.open(f"sqlite:///{self.folder / 'sigils.db'}"))
        self.keys = reloading(self.engine)
        #: What is in the file: None stands for what is no ring.
        self.written: list[KeyEntry] | None = [KeyEntry(A)]
        self.used = [KeyEntry(A)]

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run on the machine's own loop."""
        return self.loop.run_until_complete(work)

    @rule(
        entries=st.lists(
            st.builds(
                KeyEntry,
                st.sampled_from([A, B, C]),
                st.sampled_from(["active", "verify-only", "revoked"]),
                st.sampled_from([None, 1, 4102444800]),
                st.sampled_from([None, 2, 4102444801]),
            ),
            max_size=3,
            unique_by=lambda entry: entry.secret,
        )
    )
    def write(self, entries: list[KeyEntry]) -> None:
        """A ring, in the place of whatever was there."""
        if self.path.is_dir():
            self.path.rmdir()
        write(self.path, *entries)
        self.written = entries

    @rule(how=st.sampled_from(["truncated", "empty", "garbage", "weak", "twice", "missing", "folder"]))
    def spoil(self, how: str) -> None:
        """Something that is no ring."""
        if self.path.is_file() and self.written is not None:
            ways_to_spoil(self.path)[how]()
            self.written = None

    @rule()
    def reload(self) -> None:
        """The file's ring is used if it is one, and may stand in for the one before."""
        usable = self.written is not None and bool(self.written)
        if usable and self.written is not None and not can_sign(self.written) and can_sign(self.used):
            usable = bool(revoked(self.written) - revoked(self.used))
        try:
            done = self.keys.reload()
        except ReloadRefusedError:
            # The same ring as before is never refused, whatever it is.
            assert not usable
            return
        assert usable
        assert self.written is not None
        assert done.changed == (self.written != self.used)
        self.used = self.written

    @invariant()
    def seals_and_verifies_with_the_ring_in_use(self) -> None:
        """Each key does what the ring in use says of it."""
        for secret in (A, B, C):
            ring = KeyRing()
            ring.add(secret)
            sigil = SigilCodec(ring).encode_json(PAYLOAD, tenant="t")
            verdict = self.run(self.engine.verify("t", sigil, PAYLOAD))
            entry = next((entry for entry in self.used if entry.secret == secret), None)
            assert verdict.key_state == ("unknown" if entry is None else state(entry))

    def teardown(self) -> None:
        """Close, and take the files away."""
        self.run(self.engine.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


def state(entry: KeyEntry) -> str:
    """A key's state now."""
    if entry.state == "revoked":
        return "revoked"
    if entry.not_before == 4102444800:
        return "not_yet_valid"
    return "retired" if entry.retire_at == 2 else entry.state


def can_sign(entries: list[KeyEntry]) -> bool:
    """Whether one of the keys may sign now."""
    return any(state(entry) == "active" for entry in entries)


def revoked(entries: list[KeyEntry]) -> set[bytes]:
    """The keys that are revoked."""
    return {entry.secret for entry in entries if entry.state == "revoked"}


TestRotations = Rotations.TestCase
TestRotations.settings = settings(
    max_examples=300 if settings().max_examples > 100 else 8,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
