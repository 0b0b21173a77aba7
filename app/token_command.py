"""``python -m app token``: tokens of development mode's own issuer."""

from __future__ import annotations

import os
from pathlib import Path

import click

from app.authentication.claims import LONGEST_SUBJECT
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.endings import fail
from core.private_files import PrivateFileError
from core.settings_loading import EXIT_CODE
from core.tenants import is_tenant


def _tenant_name(_context: object, _parameter: object, name: str) -> str:
    if not is_tenant(name):
        raise click.BadParameter("a tenant has 1 to 128 bytes of UTF-8, without NUL")
    return name


def _subject_name(_context: object, _parameter: object, name: str) -> str:
    if len(name) > LONGEST_SUBJECT or "\0" in name or not _is_utf8(name):
        raise click.BadParameter(f"a subject has at most {LONGEST_SUBJECT} characters of UTF-8, without NUL")
    return name


def _is_utf8(argument: str) -> bool:
    """Whether an argument was UTF-8 as it was given: other bytes come as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.command()
@click.option("--tenant", required=True, callback=_tenant_name, help="The tenant that the token acts for.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    help="Repeat for several; without it: all roles.",
)
@click.option(
    "--subject",
    default="developer",
    show_default=True,
    callback=_subject_name,
    help="Who the token names.",
)
@click.option("--seconds", default=30 * 86400, show_default=True, type=click.IntRange(1, 366 * 86400))
def token(tenant: str, roles: tuple[str, ...], subject: str, seconds: int) -> None:
    """Print a token of the development issuer."""
    environment = os.environ.get("SIGIL_ENVIRONMENT") or "development"
    for name in ("JWT_ISSUER", "JWT_ISSUERS", "JWT_ISSUERS_FILE"):
        if os.environ.get(name):
            fail(f"tokens come from {name}; the issuer of development mode is not in use", EXIT_CODE)
    if environment != "development":
        fail("SIGIL_ENVIRONMENT: only development mode has an issuer of its own", EXIT_CODE)
    data_dir = Path(os.environ.get("SIGIL_DATA_DIR") or "data")
    try:
        issuer = DevelopmentIssuer(data_dir)
    except PrivateFileError as error:
        fail(str(error), EXIT_CODE)
    except OSError as error:
        fail(f"SIGIL_DATA_DIR: {error.filename}: {error.strerror}", EXIT_CODE)
    click.echo(issuer.token(tenant, subject, roles or ROLES, lifetime=seconds))
