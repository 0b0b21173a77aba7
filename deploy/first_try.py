"""Makes the secrets of deploy/compose.yaml for a first try, and a token: python -m deploy.first_try [FOLDER].

What is there is kept. Nothing of it is for production: its authority's key lies beside what it has issued.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.authentication.development import TOKEN_DAYS, DevelopmentIssuer
from app.authentication.roles import ROLES
from app.dnastore.issuing import Pair, issue, new_authority
from core.dnastore.allow_list import EVERY

_FOLDER: Final = Path(__file__).parent / "secrets"
_CLIENT: Final = "sigil-service"
_SERVER_NAMES: Final[Sequence[x509.GeneralName]] = (
    x509.DNSName("dnastore"),
    x509.DNSName("dnastore.sigil.svc"),
    x509.DNSName("issuer"),
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)
#: Containers run as users of their own, and a file comes into one with the mode that it has here. So all may
#: read the files, and nobody but their owner gets into the folder.
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o644


def _write(path: Path, content: bytes | str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(_FILE_MODE)


def _write_pair(folder: Path, name: str, pair: Pair) -> None:
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(folder / f"{name}-key.pem", key)
    _write(folder / f"{name}.pem", pair.certificate.public_bytes(Encoding.PEM))


def make(folder: Path) -> None:
    """Make all of the files, in a folder that has none.

    Raises:
        OSError: one cannot be made.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    authority = new_authority("Sigil DNA, first try")
    _write(folder / "authority.pem", authority.certificate.public_bytes(Encoding.PEM))
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    _write_pair(folder, "server", issue(authority, "dnastore", _SERVER_NAMES, server))
    _write_pair(folder, "client", issue(authority, _CLIENT, [x509.DNSName(_CLIENT)], client))
    _write(folder / "allow.json", json.dumps({_CLIENT: [EVERY]}))
    _write(folder / "jwks.json", json.dumps(DevelopmentIssuer(folder).key_set))
    for name in ("event_secret", "audit_secret", "grafana_password"):
        _write(folder / name, secrets.token_urlsafe(48))
    # Hexadecimal digits mean nothing else in an URL.
    database, limits = secrets.token_hex(24), secrets.token_hex(24)
    _write(folder / "postgres_password", database)
    _write(folder / "store_url", f"postgresql://sigil:{database}@postgres:5432/sigil")
    _write(folder / "redis_url", f"redis://:{limits}@redis:6379/0")
    lines = (f"requirepass {limits}", 'save ""', "appendonly no", "maxmemory 256mb", "dir /data")
    _write(folder / "redis.conf", "\n".join(lines) + "\n")


def main(folder: Path = _FOLDER) -> None:
    """Make the files if there are none, and print a token."""
    if not (folder / "redis.conf").exists():
        make(folder)
    issuer = DevelopmentIssuer(folder)
    print(issuer.token("acme", "developer", ROLES, lifetime=TOKEN_DAYS * 86400))


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
