"""``python -m soak``."""

from soak.cli import main

main(prog_name="python -m soak")
