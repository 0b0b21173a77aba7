"""URLs of the databases that can be a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlalchemy as sa

#: What may follow a PostgreSQL database's name: libpq's own names. The password belongs before the host,
#: where it is never shown; bounds of time are the store's own affair.
_OPTIONS: Final = frozenset(
    {
        *("host", "hostaddr", "port", "target_session_attrs", "load_balance_hosts", "application_name"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding"),
        *("gssencmode", "passfile"),
    }
)


def parse_store_url(text: str) -> sa.URL:
    """The URL of an SQLite file or of a PostgreSQL database, complete with its driver.

    Raises:
        ValueError: it is none; the text does not show it.
    """
    # 200 ms, which settings without such a URL need not wait for.
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL") from None
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return _postgresql_url(url)
    database_path(url)
    return url


def database_path(url: sa.URL) -> Path:
    """The file that an SQLite URL names.

    Raises:
        ValueError: the URL is of another database, or names no file.
    """
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise ValueError("the store must be sqlite:///path or postgresql://user@host/database")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("the store must be a plain file: records in memory would not survive a restart")
    if url.query:
        raise ValueError("the store's URL takes no options: nothing may follow the path")
    return Path(url.database)


def shown(text: str) -> str:
    """A store's URL as people may see it: without its password."""
    return parse_store_url(text).render_as_string(hide_password=True)


def _postgresql_url(url: sa.URL) -> sa.URL:
    if not url.database:
        raise ValueError("the store's URL must name a database behind the host")
    unknown = sorted(set(url.query) - _OPTIONS)
    if unknown:
        raise ValueError(f"the store's URL may have these options: {', '.join(sorted(_OPTIONS))}")
    return url.set(drivername="postgresql+psycopg")
