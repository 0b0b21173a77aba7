"""``python -m sigil_native.cli``."""

import sys

from sigil_native.cli import main

sys.exit(main())
