"""What the tests of the command share: a secret, a document, and a way to run it in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sigil_native import KeyRing, SigilCodec
from sigil_native.cli import main

SECRET = "correct horse battery staple, and 7 more words"
DOCUMENT = '{"b": [1, 2.50, "\\u00e9"], "a": null}'
CANONICAL = '{"a":null,"b":[1,2.5,"é"]}'.encode()


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: bytes
    err: str


Run = Callable[..., Ended]


def prepare(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Run:
    """A function that runs a command in a folder, with a secret in the environment."""
    for name in ("SIGIL_KEYRING", "SPIRAL_EVENT_SECRET_FILE", "SPIRAL_EVENT_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", SECRET)
    monkeypatch.chdir(folder)

    def command(*arguments: str) -> Ended:
        status = main(arguments)
        out, err = capfdbinary.readouterr()
        # Whatever else a test looks at: no output ever holds the secret.
        assert SECRET.encode() not in out + err
        return Ended(status, out, err.decode())

    return command


def file(name: str, content: str | bytes) -> str:
    """A file in the current folder."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def codec() -> SigilCodec:
    """The library with the same secret."""
    ring = KeyRing()
    ring.add(SECRET)
    return SigilCodec(ring)


def seal(form: str = "text", tenant: str = "acme", expires_in: float | None = None) -> str:
    """A sigil for the document, made by the library."""
    return str(codec().encode_json(DOCUMENT, tenant=tenant, form=form, expires_in=expires_in))
