"""Both backends under one set of names, so that one test serves both."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import SimpleNamespace

#: Each name, and the modules that have it: compiled, plain.
_HOMES = {
    "canonicalize_json": ("_canonical_text", "_pure.canonical"),
    "canonicalize": ("_canonical_values", "_pure.canonical"),
    "stringify": ("_canonical_values", "_pure.canonical"),
    "HmacKey": ("_hashing", "_pure.hashing"),
    "hkdf_sha256": ("_hashing", "_pure.hashing"),
    "hmac_sha256": ("_hashing", "_pure.hashing"),
    "sha256": ("_hashing", "_pure.hashing"),
    "uuid7": ("_identifiers", "_pure.identifiers"),
    "Sigil": ("_sigil", "_pure.sigil"),
    "parse": ("_sigil", "_pure.sigil"),
    "KeyRing": ("_keyring", "_pure.keyring"),
    "SigilCodec": ("_codec", "_pure.codec"),
    "SealRequests": ("_seal_requests", "_pure.seal_requests"),
    "VerifyRequests": ("_verify_requests", "_pure.verify_requests"),
    "sign_event": ("_signature", "_pure.signature"),
    "verify_event": ("_signature", "_pure.signature"),
    "AuditChain": ("_audit_chain", "_pure.audit"),
    "AuditKey": ("_audit", "_pure.audit"),
    "AuditVerifier": ("_audit_native", "_pure.audit"),
    "read_audit_line": ("_audit", "_pure.audit"),
    "TokenBucket": ("_bucket", "_pure.bucket"),
    "Allowance": ("_allowance", "_pure.allowance"),
}
BACKENDS = ("native", "pure")


@cache
def load_backend(backend: str) -> SimpleNamespace:
    """The names of one backend. A module that is not built is an error, never a skip."""
    column = BACKENDS.index(backend)
    names = {
        name: getattr(import_module(f"sigil_native.{homes[column]}"), name) for name, homes in _HOMES.items()
    }
    return SimpleNamespace(backend=backend, **names)
