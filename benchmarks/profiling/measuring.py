"""Counts operations: processes under callgrind side by side, and what their files say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.profiling import callgrind
from benchmarks.profiling.counts import Count, Level
from benchmarks.profiling.operations import is_dispatched
from benchmarks.profiling.toolchain import valgrind

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[1]
#: Counting waits until it is asked for: what comes before runs several times faster.
_CALLGRIND: Final = ("--quiet", "--tool=callgrind", "--instr-atstart=no")
_LEVELS: Final = """
import json
from sigil_native._canonical_text import vector_levels
from sigil_native._hashing import kernels
print(json.dumps([vector_levels(), kernels()]))
"""


class MeasuringError(Exception):
    """An operation could not be counted."""


class Forced(NamedTuple):
    """A level, and how it is chosen."""

    name: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Counted:
    """An operation's count, and where the profile lies that it comes from."""

    level: str
    kernel: str
    operation: str
    items: float
    count: Count
    profile: Path


def _environment(forced: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's, since where memory lies depends on its size; texts have fixed hashes."""
    fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8"}
    return {**fixed, "PYTHONHASHSEED": "0", **forced}


def counting_library(folder: Path) -> Path:
    """Compile counting.cpp where that has not been done.

    Raises:
        MeasuringError: it cannot be compiled.
    """
    source, library = _HERE / "counting.cpp", folder / "counting.so"
    if library.exists() and library.stat().st_mtime >= source.stat().st_mtime:
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        compiled = Path(unfinished, library.name)
        command = ["g++", "-O2", "-shared", "-fPIC", "-o", str(compiled), str(source)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise MeasuringError(f"{source.name} cannot be compiled: {done.stderr.strip()}")
        compiled.replace(library)
    return library


def levels() -> list[Forced]:
    """What can be counted here, best first; the best is what dispatch picks by itself.

    valgrind's processor has AVX2 at most, and no SHA extensions, whatever the machine has.

    Raises:
        MeasuringError: the library cannot be imported under valgrind.
    """
    # No tool is as quick as this one, and all have the same processor.
    command = [valgrind(), "--quiet", "--tool=none", sys.executable, "-c", _LEVELS]
    done = subprocess.run(command, env=_environment({}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasuringError(f"valgrind: {done.stderr.strip()}")
    vectors, kernels = json.loads(done.stdout)
    lower = [
        Forced(
            name,
            {"SIGIL_NATIVE_VECTOR": name, "SIGIL_NATIVE_KERNEL": name if name in kernels else "portable"},
        )
        for name in vectors[1:]
    ]
    return [Forced(vectors[0], {}), *lower]


def shares(
    forced: Sequence[Forced], names: Sequence[str], best: str, processes: int
) -> Iterator[tuple[Forced, list[str]]]:
    """What each process has to do, the longest first: lower levels have fewer operations."""
    for level in forced:
        if level.name == best:
            for first in range(processes):
                if names[first::processes]:
                    yield level, list(names[first::processes])
        elif chosen := [name for name in names if is_dispatched(name)]:
            yield level, chosen


def file_name(operation: str) -> str:
    """What the profile of an operation is called: as callgrind's own files, and fit for any disk."""
    return "callgrind.out." + re.sub(r"[^a-z0-9]+", "-", operation.lower()).strip("-")


class Measuring:
    """Counts shares of operations, each in a process under callgrind."""

    def __init__(self, folder: Path, library: Path, where: str, step: Callable[[str], None]) -> None:
        """Count into a folder.

        Args:
            folder: where the profiles are kept, in a folder for each level.
            library: what :func:`counting_library` made.
            where: ``MODULE:FUNCTION`` of the operations.
            step: is told each operation that is done, from several threads.
        """
        self._folder = folder
        self._library = library
        self._where = where
        self._step = step
        self._workers: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def measure(self, work: Sequence[tuple[Forced, list[str]]], processes: int) -> list[Counted]:
        """Count everything, so many processes at a time.

        Raises:
            MeasuringError: an operation cannot be counted.
        """
        self._prepare()
        with ThreadPoolExecutor(processes) as pool:
            shares = [pool.submit(self._share, forced, names) for forced, names in work]
            try:
                return [counted for share in as_completed(shares) for counted in share.result()]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()

    def stop(self) -> None:
        """End what still runs, with what it has forked."""
        with self._lock:
            for worker in self._workers:
                os.killpg(worker.pid, signal.SIGTERM)

    def _prepare(self) -> None:
        """Import everything once without valgrind: no process under it shall find bytecode to compile."""
        done = subprocess.run(
            [sys.executable, *self._worker()],
            cwd=_ROOT,
            env=_environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MeasuringError(f"the operations cannot be imported: {done.stderr.strip()}")

    def _worker(self) -> list[str]:
        return ["-m", "benchmarks.profiling.worker", self._where, str(self._library.absolute())]

    def _share(self, forced: Forced, names: Sequence[str]) -> list[Counted]:
        kept = self._folder / forced.name
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept, ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary).absolute()
            command = [valgrind(), *_CALLGRIND, f"--callgrind-out-file={folder}/%p", sys.executable]
            command += self._worker()
            (folder / "names").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            with (
                (folder / "names").open("rb") as asked,
                (folder / "log").open("wb") as log,
                subprocess.Popen(
                    command,
                    cwd=_ROOT,
                    env=_environment(forced.environment),
                    stdin=asked,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                ) as worker,
            ):
                told = self._told(forced, worker)
                if worker.wait() or len(told) != len(names) + 1:
                    said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip()
                    raise MeasuringError(f"a process at level {forced.name} ended early: {said}")
            kernel = told[0]["kernel"]
            return [self._counted(forced.name, kernel, line, folder, kept) for line in told[1:]]

    def _told(self, forced: Forced, worker: subprocess.Popen[str]) -> list[dict[str, Any]]:
        """What a worker says, until it ends or fails."""
        with self._lock:
            self._workers.add(worker)
        told: list[dict[str, Any]] = []
        try:
            for line in map(json.loads, worker.stdout or ()):
                if "error" in line:
                    os.killpg(worker.pid, signal.SIGTERM)
                    raise MeasuringError(f"{line['operation']} at level {forced.name}: {line['error']}")
                told.append(line)
                if "operation" in line:
                    self._step(line["operation"])
        finally:
            with self._lock:
                self._workers.discard(worker)
        if told and told[0]["vector"] != forced.name:
            raise MeasuringError(f"level {told[0]['vector']} is in use instead of {forced.name}")
        return told

    def _counted(
        self, level: str, kernel: str, line: Mapping[str, Any], temporary: Path, kept: Path
    ) -> Counted:
        operation, items = line["operation"], float(line["items"])
        profile = (temporary / str(line["process"])).replace(kept / file_name(operation))
        spent = callgrind.functions_of(profile)
        count = Count(spent.total() / items, callgrind.hashing(spent) / items)
        return Counted(level, kernel, operation, items, count, profile)


def by_level(counted: Iterable[Counted], forced: Sequence[Forced], names: Sequence[str]) -> dict[str, Level]:
    """What was counted, in the order of the levels and of the names."""
    found = {(one.level, one.operation): one for one in counted}
    levels: dict[str, Level] = {}
    for level, name in ((level.name, name) for level in forced for name in names):
        if one := found.get((level, name)):
            levels.setdefault(level, Level(one.kernel, {})).operations[name] = one.count
    return levels
