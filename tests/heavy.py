"""Whether the heavy cases run too: ``RUN_HEAVY_TESTS=1``. Tests that only they have are marked ``heavy``."""

from __future__ import annotations

import os
from typing import Final

HEAVY: Final = os.environ.get("RUN_HEAVY_TESTS") == "1"
