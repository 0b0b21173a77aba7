"""The command line as a whole: what it offers, and what a command waits for."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from app.cli import main
from sigil_native import __version__, backend
from tests.service.running import REPOSITORY, clean_environment


def test_every_command_is_offered() -> None:
    """The help names each command and what it does."""
    lines = CliRunner().invoke(main, ["--help"]).output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == ["dnastore", "keys", "serve", "store", "token"]
    assert all(len(line.split()) > 3 for line in lines)


def test_version() -> None:
    """The version is told with the backend in use, as ``sigil`` tells it."""
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"Sigil DNA {__version__} ({backend} backend)\n")


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a command is being imported ends it as at any other time."""

    def interrupt(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pkgutil.resolve_name", interrupt)
    result = CliRunner().invoke(main, ["store", "verify"])
    assert (result.exit_code, result.output) == (130, "interrupted\n")


def test_unknown_command() -> None:
    """A command that is none is a mistake in usage."""
    result = CliRunner().invoke(main, ["encode"])
    assert result.exit_code == click.UsageError.exit_code
    assert "No such command 'encode'" in result.output


@pytest.mark.parametrize("command", ["keys", "token"])
def test_small_commands_do_not_wait_for_large_imports(command: str) -> None:
    """A command without a store and a server imports neither."""
    program = (
        "import sys\n"
        "from app.cli import main\n"
        f"main(['{command}', '--help'], standalone_mode=False)\n"
        "print(sys.modules.keys() & {'sqlalchemy', 'structlog', 'uvicorn', 'app.service'}, file=sys.stderr)"
    )
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=REPOSITORY, env=clean_environment(), capture_output=True, check=True)
    assert done.stderr.strip() == b"set()"
