"""What operations are, and how a process finds them without importing any others."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.sides import Side

#: Makes an operation, and puts away what it needed.
Open = Callable[[], AbstractContextManager[Side]]
Operations = Mapping[str, Open]


def load_operations(where: str) -> Operations:
    """The operations that ``MODULE:FUNCTION`` returns."""
    module, _, function = where.partition(":")
    operations: Operations = getattr(importlib.import_module(module), function)()
    return operations
