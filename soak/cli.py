"""The soak's command line."""

from __future__ import annotations

import click


@click.group()
def main() -> None:
    """Load for hours, faults on purpose, and a verdict."""
