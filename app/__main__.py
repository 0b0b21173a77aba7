"""``python -m app``."""

import os
import signal
import sys


def _stop(_number: int, _frame: object) -> None:
    """End at once: nothing has begun. An exception could get lost in somebody's import."""
    os._exit(0)


# Before everything else, which takes a second to import: the first process of a container is not ended by a
# signal that nobody listens to. Servers listen for themselves later; other commands end as any program does.
if sys.argv[1:2] in (["serve"], ["dnastore"]):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)

try:
    import sigil_native  # noqa: F401
except ImportError as error:  # a variable asks for what is not there; the message says which
    print(error, file=sys.stderr)
    sys.exit(78)  # EX_CONFIG, as for other settings

from app.cli import main  # noqa: E402

main(prog_name="python -m app")
