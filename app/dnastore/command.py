"""``python -m app dnastore``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click
import structlog

from app import logs
from app.dnastore.development import DevelopmentFiles
from app.dnastore.running import run
from app.endings import fail
from app.server.failures import StartFailedError, settings_failure
from core.dnastore.server_settings import PREFIX, ServerSettings, load_server_settings
from core.private_files import PrivateFileError
from core.settings_loading import EXIT_CODE, SettingsError


@click.command()
@click.option(
    "--development",
    is_flag=True,
    help="On loopback, with an authority, certificates and an allow-list made on the spot.",
)
def dnastore(*, development: bool) -> None:
    """Keep records for other services, over mutual TLS. Settings come from the environment."""
    files = _development_files() if development else None
    settings = _settings(files)
    logs.configure()
    try:
        run(settings, lambda url: _announce(settings, url, files), development=development)
    except StartFailedError as error:
        fail(str(error), error.exit_code)


def _development_files() -> DevelopmentFiles:
    data_dir = Path(os.environ.get(f"{PREFIX}DATA_DIR") or "data")
    try:
        return DevelopmentFiles(data_dir)
    except PrivateFileError as error:
        fail(str(error), EXIT_CODE)
    except OSError as error:
        fail(f"{PREFIX}DATA_DIR: {error.filename}: {error.strerror}", EXIT_CODE)


def _settings(files: DevelopmentFiles | None) -> ServerSettings:
    try:
        return load_server_settings(None if files is None else files.variables)
    except SettingsError as error:
        failure = settings_failure(error)
        fail(str(failure), failure.exit_code)


def _announce(settings: ServerSettings, url: str, files: DevelopmentFiles | None) -> None:
    structlog.get_logger("app").info("listening", url=url, pid=os.getpid())
    if files is not None:
        _print_invitation(settings, url, files)
        sys.stdout.flush()


def _print_invitation(settings: ServerSettings, url: str, files: DevelopmentFiles) -> None:
    certificate, key = (shlex.quote(str(path)) for path in files.client)
    authority = shlex.quote(str(files.authority))
    click.echo(f"\nDNAStore in development mode: {url} (Ctrl-C stops it)")
    click.echo(f"Records: {settings.shown_store_url}")
    click.echo("\nA service that keeps its records here, in another terminal:\n")
    click.echo(f"export DNASTORE_URL={url}")
    click.echo(f"export DNASTORE_CLIENT_CERT={certificate}")
    click.echo(f"export DNASTORE_CLIENT_KEY={key}")
    click.echo(f"export DNASTORE_CA_CERT={authority}")
    click.echo("make serve")
    click.echo("\nWhat is kept for the tenant acme, newest first:\n")
    identity = f"--cacert {authority} --cert {certificate} --key {key}"
    click.echo(f"curl -sS {identity} '{url}/v1/records?tenant=acme&limit=3&payload=true'\n")
