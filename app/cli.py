"""The service's command line."""

from __future__ import annotations

import pkgutil
from typing import Final

import click

from sigil_native import __version__, backend

#: Where each command is. All that they import takes a second together, and nobody wants all of them.
_COMMANDS: Final = {
    "dnastore": "app.dnastore.command:dnastore",
    "keys": "app.key_commands:keys",
    "serve": "app.serve_command:serve",
    "store": "app.store_commands:store",
    "token": "app.token_command:token",
}

#: As a shell has it of a process that SIGINT ended.
_INTERRUPTED: Final = 130


class _Commands(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = pkgutil.resolve_name(_COMMANDS[cmd_name])
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Click's own status is one that commands have another meaning for.
            click.echo("interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Commands)
@click.version_option(__version__, message=f"Sigil DNA %(version)s ({backend} backend)")
def main() -> None:
    """Sigil DNA: tamper-evident seals for JSON, as a service."""
