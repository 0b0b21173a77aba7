"""The two sides of a comparison: the working tree, and a revision, each in a folder of its own, compiled."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

#: What a side brings along. The benchmarks are not in it: both sides run the same.
_PACKAGES: Final = ("sigil_native", "core", "app")
#: What compiling needs besides; pyproject.toml names the last two.
_BUILD_FILES: Final = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
_COMPLETE: Final = ".complete"


class SidesError(Exception):
    """A side cannot be had; the message says why."""


class Side(NamedTuple):
    """Packages to measure.

    Attributes:
        name: ``base`` or ``head``.
        revision: a commit's full name, or ``working tree``.
        folder: what goes in front of Python's path.
    """

    name: str
    revision: str
    folder: Path


def _git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise SidesError(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} fails")
    return done.stdout


def resolve(root: Path, revision: str) -> str:
    """The full name of the commit that ``revision`` stands for.

    Raises:
        SidesError: there is none.
    """
    try:
        found = _git(root, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except SidesError as error:
        raise SidesError(
            f"{revision!r} is no revision of this repository; a shallow clone has to fetch it first"
        ) from error
    return found.decode("ascii").strip()


@contextlib.contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Hold the folder of builds; two comparisons at once would measure each other.

    Raises:
        SidesError: another comparison holds it.
    """
    build = root / "build"
    build.mkdir(exist_ok=True)
    with (build / "comparing.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SidesError("another comparison runs in this tree") from error
        yield


def head_side(root: Path) -> Side:
    """The working tree as it is now, copied: what is edited while it is measured does not count."""
    # As long a path as a base's, because its length moves what lies on the stack.
    folder = root / "build" / "head" / "working-tree"
    shutil.rmtree(folder, ignore_errors=True)
    for package in _PACKAGES:
        if (root / package).is_dir():
            shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _BUILD_FILES:
        if (root / name).is_file():
            shutil.copy2(root / name, folder / name)
    return Side("head", "working tree", folder)


def base_side(root: Path, revision: str, head: Side) -> Side:
    """A revision, checked out and compiled, or what an earlier comparison left of that.

    Args:
        root: the repository.
        revision: a commit's full name.
        head: whose compiled modules are used if they have the same sources.

    Raises:
        SidesError: it has no library, or does not compile.
    """
    folder = root / "build" / "base" / revision[: len(head.folder.name)]
    side = Side("base", revision, folder)
    if (folder / _COMPLETE).exists():
        return side
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _check_out(root, revision, folder)
        if native_sources(folder) == native_sources(head.folder):
            for module in (head.folder / "sigil_native").glob("*.so"):
                shutil.copy2(module, folder / "sigil_native")
        else:
            _compile(folder)
        (folder / _COMPLETE).touch()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return side


def _check_out(root: Path, revision: str, folder: Path) -> None:
    there = _git(root, "ls-tree", "--name-only", revision).decode().splitlines()
    if "sigil_native" not in there:
        raise SidesError(f"{revision[:12]} has no sigil_native/")
    wanted = [name for name in (*_PACKAGES, *_BUILD_FILES) if name in there]
    archive = _git(root, "archive", "--format=tar", revision, "--", *wanted)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")


def native_sources(folder: Path) -> Mapping[str, object]:
    """What the compiled modules are made from: two sides with the same need one build."""
    library = folder / "sigil_native"
    paths = [
        *library.glob("*.pyx"),
        *library.glob("*.pxd"),
        *(library / "csrc").glob("*"),
        folder / "setup.py",
    ]
    sources: dict[str, object] = {
        str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()
    }
    project = folder / "pyproject.toml"
    if project.is_file():
        sources["build-system"] = tomllib.loads(project.read_text(encoding="utf-8")).get("build-system")
    return sources


def _compile(folder: Path) -> None:
    if not (folder / "setup.py").is_file():
        return
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGIL_BUILD_")}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    command += ["--parallel", str(os.cpu_count() or 1)]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        lines = done.stdout.decode(errors="replace").splitlines()
        raise SidesError("\n".join(["the base does not compile:", *lines[-20:]]))


def workloads(root: Path) -> Path:
    """A folder with nothing but the benchmarks of the working tree, which both sides run."""
    folder = root / "build" / "workloads"
    shutil.rmtree(folder, ignore_errors=True)
    here = Path(__file__).resolve().parents[1]
    shutil.copytree(here, folder / here.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def environment_of(side: Side, shared: Path, *, hash_seed: int) -> dict[str, str]:
    """The environment of a side's process.

    Args:
        side: whose packages it imports.
        shared: the folder of the workloads.
        hash_seed: the same for both sides of a launch: their dictionaries then collide alike.
    """
    dropped = ("SIGIL_", "JWT_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = [str(side.folder), str(shared), *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": str(hash_seed),
    }
