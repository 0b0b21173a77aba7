"""The command as a process of its own: pipes, signals, terminals, memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sigil_native
from sigil_native import AuditChain, KeyRing, SigilCodec
from tests.heavy import HEAVY

SECRET = "correct horse battery staple, and 7 more words"
COMMAND = [sys.executable, "-m", "sigil_native.cli"]
ENCODE = ["encode", "--tenant", "acme", "--ndjson"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret, an empty folder, and the package that is under test."""
    for name in ("SIGIL_KEYRING", "SPIRAL_EVENT_SECRET_FILE", "SPIRAL_EVENT_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", SECRET)
    package = str(Path(sigil_native.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)


def start(*arguments: str, **options: int) -> subprocess.Popen[bytes]:
    """A running command with pipes to it, but where options say otherwise."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*COMMAND, *arguments], **streams)  # type: ignore[call-overload, no-any-return]


def run(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A finished command."""
    return subprocess.run([*COMMAND, *arguments], input=text, capture_output=True, check=False, timeout=60)


def events(count: int) -> Iterator[bytes]:
    """Events of about 200 bytes, no two alike."""
    for number in range(count):
        event = {
            "id": f"evt_{number:08x}",
            "type": ("order.paid", "order.sent", "user.created")[number % 3],
            "amount": number * 0.25,
            "items": [
                {"sku": f"A-{number % 97}", "qty": number % 7},
                {"sku": "B-7", "note": "ü" * (number % 9)},
            ],
            "at": "2026-11-22T10:00:00Z",
            "text": "x" * (number % 80),
            "ok": number % 2 == 0,
        }
        yield json.dumps(event, ensure_ascii=False).encode() + b"\n"


# -- every command -------------------------------------------------------------


def test_a_whole_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key ring, a seal, its fields and forms, its verification: each by a process of its own."""
    document = b'{"b":1,"a":[true,null]}'
    key_id = run("keygen", "--keyring", "ring.json").stdout.strip().decode()
    monkeypatch.setenv("SIGIL_KEYRING", "ring.json")
    assert run("canon", text=document).stdout == b'{"a":[true,null],"b":1}'
    sigil = run("encode", "--tenant", "acme", "-", text=document).stdout.strip().decode()
    assert json.loads(run("decode", "--json", sigil).stdout)["key_id"] == key_id
    strand = run("strand", sigil).stdout.strip().decode()
    assert re.fullmatch("[ACGT]{256}", strand)
    assert run("verify", strand, "--tenant", "acme", text=document).returncode == 0
    refused = run("verify", strand, "--tenant", "acme", text=document + b" []")
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"sigil: refused: standard input: unexpected data")
    signature = run("sign", text=document).stdout.strip().decode()
    assert run("sign", "--verify", signature, text=document).stdout == b"valid\n"


def test_decode_and_strand_as_filters() -> None:
    """Sigils pass through standard input, a line each or as binary records."""
    ring = KeyRing()
    ring.add(SECRET)
    sigils = [SigilCodec(ring).encode(number, tenant="acme") for number in range(1000)]
    text = "".join(f"{sigil}\n" for sigil in sigils).encode()
    strands = run("strand", text=text)
    assert run("strand", text=strands.stdout.rstrip(b"\n")).stdout == text
    binary = run("strand", "--to", "binary", text=text).stdout
    assert len(binary) == 1000 * 64
    assert run("strand", "--to", "text", text=binary).stdout == text
    ids = [json.loads(line)["id"] for line in run("decode", "--json", text=binary).stdout.splitlines()]
    assert ids == [SigilCodec(ring).decode(sigil).id for sigil in sigils]
    bad = run("strand", "-", text=b"nonsense\r\n" + text[:92] + b"\n")
    assert (bad.returncode, bad.stdout) == (1, b"\n" + strands.stdout[:257] + b"\n")
    assert bad.stderr.splitlines()[0].startswith(b"sigil: standard input, line 1: not a sigil")
    short = run("decode", text=binary[:100])
    assert short.returncode == 1
    assert short.stderr.splitlines()[0].startswith(b"sigil: record 2: not a sigil")
    assert run("decode").returncode == 0


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "link"])
def test_output_to_a_redirected_file_by_name(name: str) -> None:
    """-o /dev/stdout adds to the file behind standard output, as its redirection says."""
    Path("link").symlink_to("/dev/stdout")
    Path("log").write_text("precious\n")
    with Path("log").open("ab") as log:
        process = start("canon", "-o", name, stdout=log.fileno())
        assert process.communicate(b"[1, 2]")[1] == b""
    assert Path("log").read_text() == "precious\n[1,2]"


def test_the_sigil_from_standard_input() -> None:
    """--sigil-file - takes the sigil from standard input and the payload from a file."""
    Path("d").write_text("[1]")
    sigil = run("encode", "--tenant", "acme", "--form", "binary", "d").stdout
    assert run("verify", "--sigil-file", "-", "--tenant", "acme", "d", text=sigil).returncode == 0
    assert run("verify", "--sigil-file", "-", "--tenant", "acme", text=sigil).returncode == 2


def test_an_audit_log_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of many blocks is verified from a pipe and from a file alike; a bar shows how far it is."""
    chain = AuditChain(SECRET)
    log = chain.begin({}) + b"".join(chain.append_many([event] * 500) for event in audit_events(60))
    Path("log").write_bytes(log)
    monkeypatch.setenv("SIGIL_AUDIT_SECRET", SECRET)
    piped = run("audit", "verify", text=log)
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert run("audit", "verify", "log").stdout == piped.stdout
    assert piped.stdout.startswith(b"valid\nfiles  1\nlines  30001\n")
    shown = on_a_terminal("audit", "verify", "log", text=None)
    assert re.search(rb"\raudit verify \[#* *\] +\d+%  [\d.]+ [KM]iB", shown)
    wrong = run("audit", "verify", "-", text=log.replace(b'"n":31,', b'"n":32,', 1)[:-1])
    assert wrong.returncode == 1
    assert [line.split(b": ")[2] for line in wrong.stderr.splitlines()[:2]] == [b"changed", b"torn"]


def audit_events(count: int) -> Iterator[dict[str, object]]:
    """What an audit log may hold."""
    for number in range(count):
        yield {"event": "sigil.encoded", "n": number, "tenant": "acme", "text": "x" * number}


def test_version_needs_no_secret_and_no_command() -> None:
    """The version names the backend; no command's module is imported for it."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sigil_native.cli", "--version"],
        capture_output=True,
        check=True,
    )
    assert ended.stdout.decode() == f"sigil {sigil_native.__version__} ({sigil_native.backend} backend)\n"
    imported = set(re.findall(rb"sigil_native\.cli\.(\w+)", ended.stderr))
    assert imported <= {b"command", b"exits", b"output", b"parser", b"values", b"streams"}
    assert b"importlib.metadata" not in ended.stderr


# -- pipes and signals ---------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["canon"], "stdout"),
        (["encode", "--tenant", "a"], "option"),
        (ENCODE, "stdout"),
        (ENCODE, "option"),
        (["sign"], "stdout"),
        *(
            pytest.param(*pair, marks=pytest.mark.heavy("each command and each target is tried above"))
            for pair in (
                (["canon"], "option"),
                (["encode", "--tenant", "a"], "stdout"),
                (["sign"], "option"),
            )
        ),
    ],
    ids=str,
)
def test_a_full_disk(arguments: list[str], target: str) -> None:
    """No space left: status 74 and one line, no traceback."""
    extra = ["-o", "/dev/full"] if target == "option" else []
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments, *extra],
            input=b"[1]\n",
            stdout=full if target == "stdout" else None,
            stderr=subprocess.PIPE,
            check=False,
        )
    name = b"/dev/full" if extra else b"standard output"
    assert (ended.returncode, ended.stderr) == (74, b"sigil: " + name + b": No space left on device\n")


def test_help_to_a_full_disk_or_nobody() -> None:
    """Help goes another way to standard output, and fails as quietly."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert b"Traceback" not in ended.stderr
    assert ended.returncode == 74
    reader, writer = os.pipe()
    os.close(reader)
    process = start("--help", stdout=writer)
    os.close(writer)
    assert process.communicate()[1] == b""
    assert process.returncode == 141


def test_a_reader_that_goes_away() -> None:
    """As with ``| head -1``: the command ends quietly, with the status a shell gives SIGPIPE."""
    Path("events").write_bytes(b"".join(events(3000)) * 4)
    process = start(*ENCODE, "events")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout as stdout:
        stdout.readline()
        stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(number: signal.Signals, status: int) -> None:
    """Ctrl-C or SIGTERM in the middle leaves nothing behind, says nothing and has its own status."""
    with start(*ENCODE, "-o", "out") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"1\n2\n")
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size for path in Path().iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == status
        assert process.stderr.read() == b""
    assert list(Path().iterdir()) == []


_INTERRUPTED_IMPORT = """
import signal, sys
from sigil_native.cli import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == "sigil_native.cli.parser":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.exit(main(["canon"]))
"""


def test_interrupted_while_it_starts() -> None:
    """Ctrl-C among the command's imports, most of a short run, ends it as quietly as later on."""
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_IMPORT], input=b"[1]", capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


def test_slow_producers_get_results_at_once() -> None:
    """A result does not wait for the block to fill."""
    with start(*ENCODE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"sgl1_")
        process.stdin.close()
        assert process.wait(60) == 0


def test_closed_standard_input() -> None:
    """Without a standard input at all there is an error, not a traceback."""
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "canon"], capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (74, b"sigil: standard input: Bad file descriptor\n")


def test_secrets_stay_out_of_sight() -> None:
    """Neither the arguments nor any output of a running command hold the secret."""
    with start(*ENCODE) as process:
        assert process.stdin is not None
        if Path("/proc").is_dir():
            assert SECRET.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        out, err = process.communicate(b"1\n{\n")
    assert SECRET.encode() not in out + err
    assert process.returncode == 1


# -- progress ------------------------------------------------------------------


def on_a_terminal(*arguments: str, text: bytes | None, stdout_too: bool = False) -> bytes:
    """What a command writes to a terminal on standard error; standard output to a file."""
    master, slave = os.openpty()
    with Path("stdout").open("wb") as stdout:
        process = start(*arguments, stderr=slave, stdout=slave if stdout_too else stdout.fileno())
        os.close(slave)
        assert process.stdin is not None
        with process:
            if text is not None:
                process.stdin.write(text)
            process.stdin.close()
            shown = b""
            try:
                while data := os.read(master, 65536):
                    shown += data
            except OSError:  # Linux: the other side is closed
                pass
            assert process.wait(60) == 0
    os.close(master)
    return shown


def test_progress_of_a_file() -> None:
    """On a terminal a bar shows share, bytes, rate and the time left; at the end it is gone."""
    Path("events").write_bytes(b"".join(events(3000)) * 3)
    begun = time.monotonic()
    shown = on_a_terminal(*ENCODE, "events", text=None)
    elapsed = time.monotonic() - begun
    assert re.search(rb"\rencode \[#* *\] +\d+%  [\d.]+ [KM]iB  [\d.]+ [KMG]iB/s  ETA \d+:\d\d", shown)
    assert shown.endswith(b"\r\x1b[K")
    assert shown.count(b"ETA") <= elapsed / 0.1 + 2


def test_progress_of_a_pipe() -> None:
    """When the size is unknown, bytes, rate and the time that passed are shown."""
    shown = on_a_terminal(*ENCODE, text=b"1\n" * 1000)
    assert re.search(rb"\rencode [\d.]+ \w+  [\d.]+ \w+/s  \d+:\d\d\x1b\[K", shown)
    assert b"%" not in shown


def test_no_progress_when_not_wanted() -> None:
    """--no-progress, a terminal that results go to, and a file as standard error show no bar."""
    assert on_a_terminal(*ENCODE, "--no-progress", text=b"1\n") == b""
    assert b"/s" not in on_a_terminal(*ENCODE, text=b"1\n", stdout_too=True)
    assert run(*ENCODE, text=b"1\n").stderr == b""


def shown_to_people(*arguments: str, text: bytes) -> bytes:
    """What a command writes to a terminal on standard output."""
    master, slave = os.openpty()
    with start(*arguments, stdout=slave) as process:
        os.close(slave)
        process.communicate(text)
        assert process.returncode == 0
    shown = os.read(master, 65536)
    os.close(master)
    return shown


def test_canonical_bytes_end_a_terminal_s_line() -> None:
    """On a terminal a newline follows canonical bytes; elsewhere they are exactly as sealed."""
    token = run("encode", "--tenant", "acme", "--form", "token", text=b"[1, 2]").stdout.strip().decode()
    for arguments in (["canon"], ["verify", token, "--tenant", "acme", "--payload"]):
        assert run(*arguments, text=b"[1, 2]").stdout == b"[1,2]"
        assert shown_to_people(*arguments, text=b"[1, 2]") == b"[1,2]\r\n"


# -- memory --------------------------------------------------------------------

_MEASURED = """
import sys
from sigil_native.cli import main
status = main(sys.argv[1:])
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
sys.exit(status)
"""


def peak_memory(*arguments: str) -> tuple[int, int]:
    """Exit status and peak resident KiB of a command.

    The kernel's VmHWM, because getrusage also counts what the parent held when it forked.
    """
    ended = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments], capture_output=True, check=False, timeout=250
    )
    return ended.returncode, int(ended.stdout)


@pytest.mark.unsanitized
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat() -> None:
    """A stream many times longer takes no more memory."""
    sizes = (1_000_000, 100_000) if HEAVY else (60_000, 10_000)
    if sigil_native.backend == "pure":
        sizes = (sizes[0] // 10, sizes[1] // 10)
    peaks = []
    for size in sizes:
        with Path("events").open("wb") as file:
            file.writelines(events(size))
        status, peak = peak_memory(*ENCODE, "events", "-o", "out")
        assert status == 0
        with Path("out").open("rb") as out:
            assert sum(1 for _ in out) == size
        peaks.append(peak)
    large, small = peaks
    assert large < small + 8 * 1024, f"peaks in KiB: {small} for {sizes[1]} events, {large} for {sizes[0]}"


@pytest.mark.unsanitized
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_follow_a_long_line() -> None:
    """A long line is refused in the memory of its limit; blank lines do not add up either."""
    Path("long").write_bytes(b'1\n"' + b"x" * 20_000_000 + b'"\n2\n')
    base = peak_memory(*ENCODE, "/dev/null", "-o", "out")[1]
    status, peak = peak_memory(*ENCODE, "long", "-o", "out", "--max-line-bytes", "1MiB")
    assert status == 1
    good, refused, last = Path("out").read_bytes().splitlines()
    assert (good[:5], json.loads(refused)["error"], last[:5]) == (b"sgl1_", "document_too_large", b"sgl1_")
    assert peak < base + 10 * 1024
    Path("blank").write_bytes(b"\n" * (2_000_000 if HEAVY else 50_000))
    status, peak = peak_memory(*ENCODE, "blank", "-o", "out")
    assert status == 1
    assert peak < base + 128 * 1024
