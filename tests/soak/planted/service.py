"""``python -m tests.soak.planted.service DEFECT serve`` is ``python -m app serve`` with a defect in it."""

from __future__ import annotations

import sys

import app.service
from app.cli import main
from app.stores import with_history
from core.seals import Seals
from core.settings import Settings
from core.store.interface import Store
from tests.soak.planted.defects import DEFECTS


def plant(name: str) -> None:
    """Put the defect over the store of every service that this process, or a worker of it, makes."""
    defect = DEFECTS[name]

    def with_defect(store: Store, settings: Settings, seals: Seals) -> Store:
        return defect(with_history(store, settings, seals))

    setattr(app.service, "with_history", with_defect)  # noqa: B010 - not a name that may be assigned to


if __name__ == "__main__":
    plant(sys.argv.pop(1))
    main(prog_name="python -m tests.soak.planted.service")
