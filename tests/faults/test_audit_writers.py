"""Processes that write one audit log, are killed in the middle, and have it rotated under them."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from core.audit.file import AuditFile
from tests.heavy import HEAVY
from tests.service.audit.audits import SECRET, faults, lines

ACCIDENTS = 400 if HEAVY else 6
WRITERS = 3
_forks = multiprocessing.get_context("forkserver")


def write_until_killed(path: Path, acknowledged: Path, number: int) -> None:
    """Append groups of lines, and tell of each when it is in the file."""
    file = AuditFile(path, SECRET)
    told = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    turn = 0
    while True:
        group = [{"writer": number, "turn": turn + offset} for offset in range(1 + turn % 4)]
        file.append(group, sync=turn % 16 == 0)
        turn += len(group)
        os.write(told, b"%d\n" % turn)


def test_no_acknowledged_line_is_lost(tmp_path: Path) -> None:
    """Over kills and rotations the files hold one whole chain, with every acknowledged line, in order."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path = tmp_path / "audit.jsonl"
    rotated: list[Path] = []
    started: list[BaseProcess] = []

    def start() -> BaseProcess:
        number = len(started)
        arguments = (path, tmp_path / f"told.{number}", number)
        started.append(_forks.Process(target=write_until_killed, args=arguments, daemon=True))
        started[-1].start()
        return started[-1]

    running = [start() for _ in range(WRITERS)]
    while len(list(tmp_path.glob("told.*"))) < WRITERS:
        time.sleep(0.01)
    for _ in range(ACCIDENTS):
        time.sleep(chance.uniform(0, 0.06))
        if chance.random() < 0.4 and path.exists():
            rotated.append(path.rename(tmp_path / f"audit.{len(rotated)}"))
        else:
            victim = running.pop(chance.randrange(WRITERS))
            victim.kill()
            running.append(start())
    for process in started:
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
    AuditFile(path, SECRET).append([{"event": "last"}], sync=True)

    files = [*rotated, path]
    assert faults(files) == []
    turns: dict[int, list[int]] = {}
    for line in lines(*files):
        if "turn" in line:
            turns.setdefault(line["writer"], []).append(line["turn"])
    for number in range(len(started)):
        told = tmp_path / f"told.{number}"
        acknowledged = int((told.read_bytes().split() or [b"0"])[-1]) if told.exists() else 0
        written = turns.get(number, [])
        assert written == list(range(len(written)))
        assert len(written) >= acknowledged
