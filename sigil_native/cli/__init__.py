"""The command ``sigil``: the library at a shell's prompt."""

from __future__ import annotations

TYPE_CHECKING = False  # what is imported here comes before Ctrl-C is heeded
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status (the table in ``sigil --help``)."""
    try:
        # Imported here, because most of a short run is imports, and Ctrl-C may come then too.
        from sigil_native.cli import command  # noqa: PLC0415

        return command.run(arguments)
    except KeyboardInterrupt:
        return 130  # exits.INTERRUPTED, whose import may be what was interrupted
