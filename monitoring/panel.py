"""What panels are made of: questions in PromQL, and how their answers are drawn."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["timeseries", "heatmap", "stat"]

#: What the dashboard's variables choose. A name of a tenant is in no metric, only a class of tenants.
CHOSEN: Final = 'job=~"$job",instance=~"$instance"'
OF_TENANTS: Final = f'{CHOSEN},tenant_class=~"$tenant_class"'
#: As Grafana fills it in: four scrapes at least, so that a lost one leaves no hole.
WINDOW: Final = "$__rate_interval"

_QUANTILES: Final = ((0.5, "P50"), (0.95, "P95"), (0.99, "P99"))
#: For the zero that stands in for series that nothing has made yet.
NONE: Final = "none"


class Query(NamedTuple):
    """An expression with the dashboard's variables in it, and what its series are called."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """One panel.

    Attributes:
        unit: as Grafana calls it.
        width: of 24 columns.
        red_from: from where on, or below which, a number is bad; for ``stat`` alone.
        red_below: likewise.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    red_from: float | None = None
    red_below: float | None = None


class Section(NamedTuple):
    """A row of the dashboard."""

    title: str
    panels: tuple[Panel, ...]


def quantiles(histogram: str, of: str, *by: str, where: str = CHOSEN) -> tuple[Query, ...]:
    """P50, P95 and P99 of a histogram, of all that is chosen together, or apart by labels."""
    return tuple(quantile(share, name, histogram, of, *by, where=where) for share, name in _QUANTILES)


def quantile(
    share: float, name: str, histogram: str, of: str, *by: str, where: str = CHOSEN, window: str = WINDOW
) -> Query:
    """One quantile of a histogram."""
    labels = ", ".join(("le", *by))
    rates = f"sum by ({labels}) (rate({histogram}_bucket{{{where}}}[{window}]))"
    return Query(f"histogram_quantile({share}, {rates})", _legend(name, of, *by))


def heat(histogram: str, where: str = CHOSEN) -> tuple[Query, ...]:
    """How many fell into each bucket of a histogram."""
    return (Query(f"sum by (le) (increase({histogram}_bucket{{{where}}}[{WINDOW}]))", "{{le}}"),)


def rates(counter: str, *by: str, where: str = CHOSEN) -> tuple[Query, ...]:
    """How often a second, apart by labels. Zero where a counter has no series before it first counts."""
    return (
        Query(
            or_none(f"sum by ({', '.join(by)}) (rate({counter}{{{where}}}[{WINDOW}]))", *by),
            _legend("", "", *by),
        ),
    )


def values(gauge: str, *by: str, how: str = "sum", where: str = CHOSEN) -> tuple[Query, ...]:
    """A gauge, of all that is chosen together, or apart by labels."""
    return (Query(f"{how} by ({', '.join(by)}) ({gauge}{{{where}}})", _legend("", "", *by)),)


def or_none(expression: str, *by: str) -> str:
    """The expression, or 0 where it has no series, so that nothing bad is told from nothing known."""
    none = "vector(0)"
    for label in by:
        none = f'label_replace({none}, "{label}", "{NONE}", "", "")'
    return f"{expression} or on () {none}"


def _legend(name: str, of: str, *by: str) -> str:
    return " ".join(part for part in (name, of, *(f"{{{{{label}}}}}" for label in by)) if part)
