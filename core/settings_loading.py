"""What all commands do with settings: every mistake reported at once, and no value ever shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from core.setting_types import secret_from_file

#: sysexits.h: EX_CONFIG.
EXIT_CODE: Final = 78
#: How settings are read from the environment, in whichever class.
READING: Final = SettingsConfigDict(
    case_sensitive=True, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
)


class SettingsError(Exception):
    """The settings cannot work.

    Attributes:
        problems: one line each, beginning with the variable's name; none holds a value.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def problems_of(error: ValidationError) -> list[str]:
    """What is wrong with the fields of a class of settings."""
    return [_problem(dict(details)) for details in error.errors(include_url=False)]


def _problem(details: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in details["loc"])
    return f"{place}: {str(details['msg']).removeprefix('Value error, ')}"


def values_from_files(
    environ: Mapping[str, str], variables: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """The values of those variables that are given as files, named by ``<variable>_FILE``; what is wrong."""
    values: dict[str, Any] = {}
    problems = []
    for name in variables:
        path = environ.get(f"{name}_FILE")
        if not path:
            continue
        if environ.get(name):
            problems.append(f"{name}_FILE: {name} is set too; set one of them")
            continue
        try:
            values[name] = secret_from_file(Path(path))
        except ValueError as error:
            problems.append(f"{name}_FILE: {error}")
    return values, problems


def unknown_names(
    environ: Mapping[str, str], known: Iterable[str], *, own: tuple[str, ...], foreign: tuple[str, ...] = ()
) -> list[str]:
    """Variables that look like settings, and are none: slips of the hand.

    Args:
        environ: all variables.
        known: the settings' names.
        own: what the names of settings begin with.
        foreign: what names begin with that are somebody else's, though they begin like settings.
    """
    settings = list(known)
    problems = []
    for name in sorted(environ):
        if name.startswith(own) and not name.startswith(foreign) and name not in settings:
            near = difflib.get_close_matches(name, settings, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{name}: no such setting{hint}")
    return problems
