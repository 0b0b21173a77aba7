"""Kinds of settings: what a value must be, and what is said if it is not. No value is ever shown."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from core.descriptors import most_connections
from core.plain_files import read_plain, require_plain
from core.store.store_url import parse_store_url
from core.tls import read_authorities, read_certificate, read_key
from sigil_native import HmacKey, KeyRing

#: Takes the place of the audit log's path where there shall be none.
AUDIT_OFF: Final = "off"
_LARGEST_SECRET_FILE: Final = 1 << 20


def _strong(secret: SecretStr) -> SecretStr:
    HmacKey(secret.get_secret_value())
    return secret


def _all_strong(secrets: SecretStr) -> SecretStr:
    for line in lines(secrets):
        HmacKey(line)
    return secrets


def lines(secrets: SecretStr) -> list[str]:
    """The secrets of a text with one on each line."""
    # Not splitlines(): a secret may hold any character but the newline, and the command agrees.
    text = secrets.get_secret_value().replace("\r\n", "\n")
    return [line for line in text.split("\n") if line]


def secret_from_file(path: Path) -> str:
    """The secret that a file holds; one newline at its end is no part of it.

    Raises:
        ValueError: saying what is wrong with the file.
    """
    content = read_plain(path, largest=_LARGEST_SECRET_FILE)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None
    # Editors and `echo` end a file with a newline.
    return text.removesuffix("\n").removesuffix("\r")


def _readable_key_ring(path: Path) -> Path:
    require_plain(path)
    try:
        KeyRing.load(path)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    return path


def _certificate(path: Path) -> Path:
    read_certificate(path)
    return path


def _private_key(path: Path) -> Path:
    read_key(path)
    return path


def _authorities(path: Path) -> Path:
    read_authorities(path)
    return path


def _store_url(url: SecretStr) -> SecretStr:
    parse_store_url(url.get_secret_value())
    return url


def _folder(path: Path) -> Path:
    """A folder, or a place where one can be made."""
    place = path.absolute()
    try:
        nearest = next(one for one in (place, *place.parents) if one.exists())
    except OSError as error:
        raise ValueError(f"the folder cannot be used: {error.strerror}") from None
    if not nearest.is_dir():
        raise ValueError("not a folder, nor inside of one")
    return path


def _audit_place(place: str) -> str:
    """The path of a file, or ``off``."""
    return place if place == AUDIT_OFF else place_of_file(place)


def place_of_file(place: str) -> str:
    """The path of a file that is there or can be made.

    Raises:
        ValueError: it cannot.
    """
    if Path(place).is_dir():
        raise ValueError("a folder; a file is expected")
    _folder(Path(place).parent)
    return place


def _absolute_url(url: str) -> str:
    # urlsplit drops tabs and newlines without a word.
    if not url.isprintable() or " " in url:
        raise ValueError("must be an URL without blanks and control characters")
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("must be an https URL")
    if parts.username or parts.password or parts.fragment:
        raise ValueError("must be an URL without user name, password and fragment")
    if not _has_good_port(parts):
        raise ValueError("the port must be a number from 1 to 65535")
    return url


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:  # its text shows the port
        return False


def _connection_count(count: int) -> int:
    most = most_connections()
    if count > most:
        raise ValueError(f"the limit of open files (ulimit -Hn) leaves room for {max(most, 0)}")
    return count


def _certificates(path: Path) -> Path:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError("the file holds no certificate in PEM form, or a damaged one") from None
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    return path


def _between_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def is_protected(url: str, *, development: bool) -> bool:
    """Whether nobody can change what comes from there: https, or in development this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (development and is_loopback(parts.hostname))


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


StrongSecret = Annotated[SecretStr, AfterValidator(_strong)]
StrongSecrets = Annotated[SecretStr, AfterValidator(_all_strong)]
KeyRingFile = Annotated[Path, AfterValidator(_readable_key_ring)]
CertificateFile = Annotated[Path, AfterValidator(_certificate)]
PrivateKeyFile = Annotated[Path, AfterValidator(_private_key)]
AuthoritiesFile = Annotated[Path, AfterValidator(_authorities)]
#: Of a PostgreSQL database it may have a password in it.
StoreUrl = Annotated[SecretStr, AfterValidator(_store_url)]
Folder = Annotated[Path, AfterValidator(_folder)]
AuditPlace = Annotated[str, AfterValidator(_audit_place)]
AbsoluteUrl = Annotated[str, AfterValidator(_absolute_url)]
ConnectionCount = Annotated[int, AfterValidator(_connection_count)]
CertificateBundle = Annotated[Path, AfterValidator(_certificates)]
#: Beside the type of a collection: its text has its elements between commas.
COMMA_SEPARATED = (NoDecode, BeforeValidator(_between_commas))
