"""What a forked program finds in memory: all that it imports, and no garbage to look for in it.

The process that forks imports this. A program collects garbage once it has started, and need not look among
what is frozen here; that took most of its start.
"""

from __future__ import annotations

import gc
import importlib

gc.disable()

from app.api.openapi import document  # noqa: E402 - nothing is garbage before all is imported

_IMPORTED = (
    "app.cli",
    "app.dnastore.command",
    "app.serve_command",
    # And what a start imports late, or with some settings alone.
    "aiohttp",
    "core.dnastore.connection_test",
    "core.limits.redis_limiter",
    "cryptography.hazmat.backends.openssl.backend",
    "encodings.idna",
    "sigil_native._bucket_memory",
    "sigil_native._keyinfo",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
)

for name in _IMPORTED:
    importlib.import_module(name)
# What a first start compiles and keeps: patterns, and what the description's types hold.
document()
gc.enable()
gc.freeze()
