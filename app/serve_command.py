"""``python -m app serve``: the HTTP API, and how to try it in development mode."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Final

import click
import structlog

from app import logs
from app.api.paths import BASE
from app.authentication.development import TOKEN_DAYS, DevelopmentIssuer
from app.authentication.roles import ROLES
from app.endings import fail
from app.server.failures import StartFailedError, settings_failure
from app.server.running import run
from core.settings import Settings, load_settings
from core.settings_loading import SettingsError

_EVENT: Final = (
    '{"id":"evt_01HZX3","type":"order.paid","tenant":"acme","amount":1299.5,"currency":"EUR",'
    '"items":[{"sku":"A-1","qty":2},{"sku":"B-7","qty":1}],"at":"2026-11-22T10:00:00Z","ok":true,"note":null}'
)


@click.command()
@click.option(
    "--development",
    is_flag=True,
    help="Own token issuer and secret; the same as SIGIL_ENVIRONMENT=development.",
)
def serve(*, development: bool) -> None:
    """Serve the HTTP API. Settings come from the environment."""
    settings = _settings("development" if development else None)
    logs.configure()
    try:
        run(settings, lambda url: _announce(settings, url))
    except StartFailedError as error:
        fail(str(error), error.exit_code)


def _settings(environment: str | None) -> Settings:
    try:
        return load_settings(environment)
    except SettingsError as error:
        failure = settings_failure(error)
        fail(str(failure), failure.exit_code)


def _announce(settings: Settings, url: str) -> None:
    log = structlog.get_logger("app")
    log.info(
        "listening", url=url, environment=settings.environment, pid=os.getpid(), workers=settings.workers
    )
    if settings.is_development:
        click.echo(f"\nSigil DNA in development mode: {url} (Ctrl-C stops it)")
        click.echo(f"Records: {settings.records_place}")
        if settings.issuers:
            click.echo(f"Tokens come from {', '.join(one.issuer for one in settings.issuers)}")
        else:
            _print_invitation(settings, url + BASE)
        sys.stdout.flush()


def _print_invitation(settings: Settings, sigils: str) -> None:
    issuer = DevelopmentIssuer(settings.data_dir)
    bearer = issuer.token("acme", "developer", ROLES, lifetime=TOKEN_DAYS * 86400)
    click.echo(f"\nA token for tenant acme with every role, for {TOKEN_DAYS} days:\n\nTOKEN={bearer}\n")
    click.echo(f"For other tenants: {os.path.relpath(sys.executable)} -m app token --tenant NAME")
    click.echo("\nSeal an event, in another terminal:\n\n" + _curl(sigils, bearer, f'{{"data":{_EVENT}}}'))
    click.echo('\nVerify it, with the "sigil" of the answer in the place of SIGIL:\n')
    click.echo(_curl(f"{sigils}/verify", bearer, f'{{"sigil":"SIGIL","data":{_EVENT}}}') + "\n")


def _curl(url: str, bearer: str, body: str) -> str:
    headers = f"-H 'Authorization: Bearer {bearer}' -H 'Content-Type: application/json'"
    return f"curl -sS {url} {headers} -d {shlex.quote(body)}"
