"""How a command ends that cannot do what it was asked for."""

from __future__ import annotations

import sys
from typing import NoReturn

import click


def fail(message: str, code: int) -> NoReturn:
    """End the process with a code, and say why on standard error."""
    click.echo(message, err=True)
    sys.exit(code)
