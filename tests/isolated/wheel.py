"""The installed wheel works, on any platform, with nothing but the standard library: wheel.py."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import sigil_native

SECRET = "correct horse battery staple, thrice"


def seal() -> None:
    """Sigils verify over any spelling of their payload, and over nothing else."""
    ring = sigil_native.KeyRing()
    ring.add(SECRET)
    codec = sigil_native.SigilCodec(ring)
    sigil = codec.encode({"b": 1, "a": [True, None, 1e21]}, tenant="acme")
    codec.verify_json(sigil, b'{"a":[true,null,1e21],"b":1.0}', tenant="acme")
    try:
        codec.verify_json(sigil, b'{"a":[true,null,1e21],"b":2}', tenant="acme")
    except sigil_native.TagMismatchError:
        return
    raise AssertionError("an altered payload verifies")


def hash_messages() -> None:
    """Digests of all lengths around a block are the standard library's."""
    key = sigil_native.HmacKey(SECRET)
    for size in (0, 1, 55, 56, 63, 64, 65, 1000, 100_000):
        data = b"x" * size
        assert key.digest(data) == hmac.digest(SECRET.encode(), data, hashlib.sha256), size


def seal_by_command(folder: Path) -> None:
    """The command seals a file and verifies it."""
    (folder / "event.json").write_text('{"b":1,"a":2}')
    command = [sys.executable, "-m", "sigil_native.cli"]
    environment = {**os.environ, "SPIRAL_EVENT_SECRET": SECRET}
    sealed = subprocess.run(
        [*command, "encode", "--tenant", "acme", "event.json"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    (folder / "sigil.txt").write_bytes(sealed.stdout)
    subprocess.run(
        [*command, "verify", "--tenant", "acme", "--sigil-file", "sigil.txt", "event.json"],
        cwd=folder,
        env=environment,
        check=True,
    )


if __name__ == "__main__":
    assert sigil_native.backend == "native", sigil_native.backend
    seal()
    hash_messages()
    with tempfile.TemporaryDirectory() as temporary:
        seal_by_command(Path(temporary))
    print(sigil_native.__version__, sigil_native.__file__)
