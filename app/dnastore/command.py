"""``python -m app dnastore``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click
import structlog

from app import logs
from app.dnastore.running import run
from app.server.failures import StartFailedError, settings_failure
from core.dnastore.server_settings import ServerSettings, load_server_settings
from core.settings_loading import SettingsError


@click.command()
def dnastore() -> None:
    """Keep records for other services, over mutual TLS. Settings come from the environment."""
    settings = _settings()
    logs.configure()
    try:
        run(settings, _announce)
    except StartFailedError as error:
        _fail(error)


def _settings() -> ServerSettings:
    try:
        return load_server_settings()
    except SettingsError as error:
        _fail(settings_failure(error))


def _announce(url: str) -> None:
    structlog.get_logger("app").info("listening", url=url, pid=os.getpid())


def _fail(failure: StartFailedError) -> NoReturn:
    click.echo(str(failure), err=True)
    sys.exit(failure.exit_code)
