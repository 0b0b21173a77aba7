"""The package: its names, its version, and which backend does the work."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sigil_native
from sigil_native import errors

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "SIGIL_NATIVE_PURE"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_version_is_that_of_the_project() -> None:
    """The constant in the package and pyproject.toml agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sigil_native.__version__ == project["version"]


def test_all_public_names_exist() -> None:
    """__all__ is sorted, true, and holds every error class."""
    assert sigil_native.__all__ == sorted(sigil_native.__all__)
    for name in sigil_native.__all__:
        assert hasattr(sigil_native, name)
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")
    }
    assert classes <= set(sigil_native.__all__)


@pytest.mark.parametrize(
    "error",
    [
        errors.DuplicateNameError("twice", pointer="/a", offset=3, index=1),
        errors.SigilFormatError("flags"),
        errors.UnusableLevelError("abacus", "no beads"),
    ],
)
def test_errors_are_copied_whole(error: errors.SigilError) -> None:
    """An error comes out of a pickle as it was, by its public name."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert type(again).__module__ == "sigil_native.errors"


@pytest.mark.parametrize(("value", "expected"), [("1", "pure"), ("0", "native"), ("", "native")])
def test_environment_chooses_the_backend(value: str, expected: str) -> None:
    """SIGIL_NATIVE_PURE=1, and nothing else, asks for the plain backend."""
    code = "import sigil_native as s; print(s.backend, s.SigilCodec.__module__, s.canonicalize([1]))"
    result = run(code, SIGIL_NATIVE_PURE=value)
    module = "sigil_native._pure.codec" if expected == "pure" else "sigil_native._codec"
    assert result.stdout == f"{expected} {module} b'[1]'\n", result.stderr


def test_unclear_choice_is_refused() -> None:
    """Any other value is a mistake, and not taken for one of the two backends."""
    result = run("import sigil_native", SIGIL_NATIVE_PURE="yes")
    assert result.returncode == 1
    assert "SIGIL_NATIVE_PURE is 1 for the plain Python backend" in result.stderr


def test_native_backend_loads_nothing_of_the_plain_one() -> None:
    """Importing the package is quick: no plain module, no json, no hashlib, nothing for the web."""
    late = ["json", "hashlib", "hmac", "uuid", "base64", "ipaddress", "logging", "sigil_native.asgi"]
    code = (
        "import sys; before = set(sys.modules); import sigil_native\n"
        "new = set(sys.modules) - before\n"
        f"print([n for n in new if '_pure' in n or n in {late}])"
    )
    result = run(code)
    assert result.stdout == "[]\n", result.stderr


def test_missing_compiled_module_is_loud() -> None:
    """Without compiled modules the import fails and says what can be done."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'sigil_native._codec':\n"
        "            raise ModuleNotFoundError('gone', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import sigil_native"
    )
    result = run(code)
    assert result.returncode == 1
    assert "ImportError: the compiled module sigil_native._codec is missing" in result.stderr
    assert "SIGIL_NATIVE_PURE=1" in result.stderr
    assert "make build" in result.stderr
