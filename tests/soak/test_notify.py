"""The webhook, against receivers that take a message, and some that do not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from soak import notify
from soak.cli import tell
from soak.results import Check, Run, Summary


class Receiver(ThreadingHTTPServer):
    """Answers each message with the next status; 0: not at all, until it is released."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.taken: list[tuple[str, str]] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0/B0/hush"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server.taken.append((self.path, body))
        status = server.statuses.pop(0) if server.statuses else 200
        if status == 0:
            server.released.wait(10)
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - so named by the class

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that takes everything, named by the environment; attempts follow each other at once."""
    with Receiver() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        monkeypatch.setenv(notify.URL, server.url)
        monkeypatch.setattr(notify, "_PATIENCE", aiohttp.ClientTimeout(total=0.2))
        monkeypatch.setattr(notify, "PAUSES", (0.0, 0.0))
        yield server
        server.released.set()
        server.shutdown()
        serving.join()


def _summary(verdict: str, says: str = "") -> Summary:
    run = Run(started_at=0, seconds=60, warm_up=5, users=1, processor="", revision="<!channel>", scenarios={})
    check = Check("lost", verdict, 1, 0, "", says)  # type: ignore[arg-type]
    return Summary(verdict, [check], run, {})  # type: ignore[arg-type]


def test_changes_alone(receiver: Receiver, tmp_path: Path) -> None:
    """A change is told, once; the first verdict is one unless it is pass."""
    state = tmp_path / "state"
    told = []
    for verdict in ("pass", "fail", "fail", "inconclusive", "pass", "pass"):
        before = len(receiver.taken)
        tell(_summary(verdict), state)
        told.append(len(receiver.taken) - before)
    assert told == [0, 1, 0, 1, 1, 0]
    text = json.loads(receiver.taken[0][1])
    assert text["text"] == "Soak: fail: lost"
    assert text["blocks"][0]["text"]["type"] == "mrkdwn"


def test_no_markup(receiver: Receiver) -> None:
    """What a run says can call nobody and link nowhere."""
    tell(_summary("fail", "<!here> `a` & <http://evil.test|b>"), None)
    text = json.loads(receiver.taken[0][1])["blocks"][0]["text"]["text"]
    assert "<" not in text
    assert "&lt;!here&gt; 'a' &amp; " in text


@pytest.mark.parametrize(
    ("statuses", "attempts", "said"),
    [
        ([500, 200], 2, ""),
        ([429, 503, 200], 3, ""),
        ([500] * 5, 3, "the webhook answered 500"),
        ([404] * 5, 1, "the webhook answered 404"),
        ([302] * 5, 1, "the webhook answered 302"),
        ([0] * 5, 3, "the webhook does not answer"),
    ],
)
def test_receivers_in_trouble(
    receiver: Receiver,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    statuses: list[int],
    attempts: int,
    said: str,
) -> None:
    """It is tried again where that may help; what was not taken is said without the URL, and told later."""
    receiver.statuses = statuses
    tell(_summary("fail"), tmp_path / "state")
    assert [path for path, _ in receiver.taken] == ["/services/T0/B0/hush"] * attempts
    printed = capsys.readouterr()
    assert printed.err == (f"not notified: {said}\n" if said else "")
    assert "hush" not in printed.out + printed.err
    assert (tmp_path / "state").exists() is not bool(said)


def test_urls(tmp_path: Path) -> None:
    """The URL comes from a variable or a file; what is no URL is refused, and not shown."""
    path = tmp_path / "url"
    path.write_text("https://hooks.test/hush\n")
    path.chmod(0o600)
    assert notify.webhook_url({}) is None
    assert notify.webhook_url({notify.URL_FILE: str(path)}) == "https://hooks.test/hush"
    for wrong in ("hush", "ftp://hush", "http://", "http://a:hush/", "http://a/hu sh"):
        with pytest.raises(notify.NotificationError) as caught:
            notify.webhook_url({notify.URL: wrong})
        assert "hu" not in str(caught.value).replace("http", "")
    with pytest.raises(notify.NotificationError, match="both set"):
        notify.webhook_url({notify.URL: "https://a", notify.URL_FILE: str(path)})
