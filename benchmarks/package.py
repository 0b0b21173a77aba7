"""What is wanted in absolute figures: the library's import, the wheel, the service's start."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from benchmarks.service import environment_of, wait_for
from benchmarks.sides import Opened, Side, Sides

_ROOT: Final = Path(__file__).resolve().parents[1]
_IMPORT: Final = """
import time
start = time.perf_counter()
import sigil_native
print((time.perf_counter() - start) * 1000)
"""


def import_time() -> Opened:
    """Milliseconds of the import, each time in a new process."""

    def call() -> float:
        done = subprocess.run([sys.executable, "-c", _IMPORT], stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout)

    return nullcontext(Sides(Side(call, returns_figure=True)))


def wheel_size() -> Opened:
    """Megabytes of a wheel with the modules that are compiled in place."""

    def call() -> float:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "library")
            (library / "sigil_native").mkdir(parents=True)
            for module in (_ROOT / "sigil_native").glob("*.so"):
                shutil.copy(module, library / "sigil_native")  # newer than its sources: not compiled again
            command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", folder]
            command += ["build", "--build-base", f"{folder}/base", "--build-lib", str(library)]
            command += ["bdist_wheel", "--bdist-dir", f"{folder}/wheel", "--dist-dir", folder]
            subprocess.run(
                command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
            )
            return next(Path(folder).glob("*.whl")).stat().st_size / 1e6

    return nullcontext(Sides(Side(call, returns_figure=True)))


@contextlib.contextmanager
def service_start() -> Iterator[Sides]:
    """Seconds until the service answers, each time in a new process on the same folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def call() -> float:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port: int = listener.getsockname()[1]
            start = time.perf_counter()
            server = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--development"],
                env=environment_of(folder, port),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                wait_for(port, server)
                return time.perf_counter() - start
            finally:
                server.terminate()
                server.wait(30)

        yield Sides(Side(call, returns_figure=True))
