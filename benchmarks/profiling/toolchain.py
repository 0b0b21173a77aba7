"""What compiled and ran the code that is counted. Counts of another toolchain are not comparable."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sigil_native import _hashing

#: What GCC and Clang write into what they compile.
_COMPILERS: Final = re.compile(rb"(?:GCC: \([^)]*\) [0-9.]+|clang version [0-9.]+)")


def _compilers(module: Path) -> str:
    found = {match.decode(errors="replace") for match in _COMPILERS.findall(module.read_bytes())}
    return ", ".join(sorted(found)) or "unknown"


def _python() -> str:
    """Version, compiler, and the switches that it was built with, without those that name a place."""
    arguments = shlex.split(sysconfig.get_config_var("CONFIG_ARGS") or "")
    switches = {one for one in arguments if one.startswith(("--enable-", "--with-")) and "/" not in one}
    return " ".join([platform.python_version(), f"({platform.python_compiler()})", *sorted(switches)])


def valgrind() -> str:
    """Where valgrind is.

    Raises:
        FileNotFoundError: nowhere.
    """
    if (found := shutil.which("valgrind")) is None:
        raise FileNotFoundError("valgrind is not installed")
    return found


def toolchain() -> Mapping[str, str]:
    """Versions by name.

    Raises:
        OSError: there is no valgrind.
    """
    version = subprocess.run([valgrind(), "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return {
        "compiler": _compilers(Path(_hashing.__file__)),
        "python": _python(),
        "libc": " ".join(platform.libc_ver()),
        "valgrind": version.stdout.strip().removeprefix("valgrind-"),
        "machine": platform.machine(),
    }


def differences(now: Mapping[str, str], baseline: Mapping[str, str]) -> list[str]:
    """What differs, a line each; none if their counts are comparable."""
    names = [*now, *(name for name in baseline if name not in now)]
    return [
        f"{name}: {now.get(name, 'none')}, in the baseline {baseline.get(name, 'none')}"
        for name in names
        if now.get(name) != baseline.get(name)
    ]
