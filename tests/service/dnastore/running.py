"""A real DNAStore server, in a process of its own, and callers of it with certificates."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.dnastore.wire import Line, Put, WireRecord, Write, WriteReply, WriteRequest
from core.records import Record
from tests.service.running import Program
from tests.service.server.tls_files import Authority, client

#: The client that most tests are.
CLIENT = "sigil-service"
EVERYTHING = {CLIENT: ["*"]}
_RELOAD_SECONDS = 20.0


class DnaStore(Program):
    """``python -m app dnastore``, with an authority of its own that has issued all certificates.

    Attributes:
        authority: of the server and its clients.
        identity: the files of the client in the allow-list.
    """

    command = "dnastore"
    data_variable = "DNASTORE_SERVER_DATA_DIR"

    def __init__(
        self, folder: Path, allow: Mapping[str, Sequence[str]] = EVERYTHING, **variables: str
    ) -> None:
        self.authority = Authority(folder / "tls")
        self.server_identity = self.authority.issue("server")
        self.identity = self.authority.issue("client", host=CLIENT)
        self.allow_path = folder / "allow.json"
        certificate, key = self.server_identity
        super().__init__(
            folder,
            {
                "DNASTORE_SERVER_PORT": "0",
                "DNASTORE_SERVER_METRICS_PORT": "0",
                "DNASTORE_SERVER_CERT": str(certificate),
                "DNASTORE_SERVER_KEY": str(key),
                "DNASTORE_SERVER_CLIENT_CA": str(self.authority.path),
                "DNASTORE_SERVER_ALLOW": str(self.allow_path),
                **variables,
            },
        )
        self._write_allow_list(allow)
        self.tls = client(self.authority, self.identity)

    @property
    def client_variables(self) -> dict[str, str]:
        """The settings with which a service uses this server."""
        certificate, key = self.identity
        return {
            "DNASTORE_URL": self.url,
            "DNASTORE_CLIENT_CERT": str(certificate),
            "DNASTORE_CLIENT_KEY": str(key),
            "DNASTORE_CA_CERT": str(self.authority.path),
        }

    def as_client(self, identity: tuple[Path, Path]) -> None:
        """Call with these files from now on."""
        self.tls = client(self.authority, identity)

    def allow(self, allow: Mapping[str, Sequence[str]]) -> None:
        """Change the allow-list, and wait until it holds."""
        before = len(self.logged("allow-list changed"))
        self._write_allow_list(allow)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while len(self.logged("allow-list changed")) == before:
            assert time.monotonic() < deadline, "the allow-list was not reloaded"
            time.sleep(0.02)

    def _write_allow_list(self, allow: Mapping[str, Sequence[str]]) -> None:
        new = self.allow_path.with_suffix(".new")
        new.write_text(json.dumps(allow))
        new.replace(self.allow_path)

    def write(self, *writes: Write, **more: Any) -> WriteReply:
        """Send writes; the outcomes."""
        answer = self.call("POST", "/v1/writes", msgspec.json.encode(WriteRequest(list(writes))), **more)
        assert answer.status == 200, answer.body
        return msgspec.json.decode(answer.body, type=WriteReply)

    def put(self, *records: Record, **more: Any) -> None:
        """Have records kept."""
        reply = self.write(Put([WireRecord.of(record) for record in records]), **more)
        assert [result.outcome for result in reply.results] == ["done"]

    def lines(self, method: str, path: str, body: object = None, **more: Any) -> list[Line]:
        """A whole stream, without its last line."""
        answer = self.call(method, path, body, **more)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [msgspec.json.decode(line, type=Line) for line in answer.body.splitlines()]
        assert lines.pop() == Line(end=True)
        return lines
