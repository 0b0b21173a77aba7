"""The command ``sigil``, as it is installed: beside the package, whose import may fail.

Python would end with a traceback then, and with the status that says that a seal does not hold.
"""

import sys


def main() -> int:
    """Run the command; returns its exit status (the table in ``sigil --help``)."""
    try:
        from sigil_native.cli import main as command  # noqa: PLC0415
    except ImportError as error:  # a variable asks for what is not there; the message says which
        print(f"sigil: {error}", file=sys.stderr)
        return 78  # exits.CONFIGURATION
    return command()
