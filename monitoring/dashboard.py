"""The Grafana dashboard: what is on it, and its file.

``python -m monitoring.dashboard`` writes the file; a test compares it with what would be written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from monitoring.grafana_json import dashboard
from monitoring.panel import Kind, Query, Section
from monitoring.process_sections import KEYS, PROCESSES
from monitoring.service_sections import ACCESS, CALLS, HTTP, OVERVIEW
from monitoring.store_sections import AUDIT, DNASTORE, DNASTORE_SERVER, STORE

PATH: Final = Path(__file__).parent / "grafana" / "sigil_dashboard_v2.json"
SECTIONS: Final[tuple[Section, ...]] = (
    OVERVIEW,
    CALLS,
    HTTP,
    STORE,
    DNASTORE,
    DNASTORE_SERVER,
    AUDIT,
    ACCESS,
    KEYS,
    PROCESSES,
)


class AskablePanel(NamedTuple):
    """A panel whose expressions a Prometheus understands: Grafana's variables are filled in."""

    section: str
    title: str
    kind: Kind
    unit: str
    queries: tuple[Query, ...]


def panels(
    *, job: str = ".*", instance: str = ".*", tenant_class: str = ".*", window: str = "1m"
) -> Iterator[AskablePanel]:
    """All panels, from top to bottom.

    Args:
        job: a regular expression of the jobs to look at.
        instance: likewise.
        tenant_class: likewise.
        window: over which rates are taken; four scrapes at least.
    """
    filled = {"job": job, "instance": instance, "tenant_class": tenant_class, "__rate_interval": window}

    def fill(query: Query) -> Query:
        return Query(re.sub(r"\$(\w+)", lambda found: filled[found[1]], query.expression), query.legend)

    for section in SECTIONS:
        for panel in section.panels:
            queries = tuple(fill(query) for query in panel.queries)
            yield AskablePanel(section.title, panel.title, panel.kind, panel.unit, queries)


def text() -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(SECTIONS), indent=2) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text())
