"""Latencies as HdrHistograms, put together without losing a digit."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final, TypeAlias

from hdrh.codec import (
    HdrCookieException,
    HdrHistogramSettingsException,
    HdrLengthException,
)
from hdrh.histogram import HdrHistogram

from soak import results
from soak.results import Window

Latencies: TypeAlias = HdrHistogram

#: 1 microsecond to 10 minutes, three digits, as in ``Window``.
RANGE: Final = (1, 600_000_000, 3)
_DAMAGED: Final = (
    HdrCookieException,
    HdrHistogramSettingsException,
    HdrLengthException,
    IndexError,
    TypeError,
    ValueError,
    zlib.error,
)


class HistogramError(Exception):
    """A histogram in a results folder is damaged."""


def merged(windows: Iterable[Window]) -> Latencies:
    """The latencies of all of them, in microseconds.

    Raises:
        HistogramError: one of the histograms is damaged.
    """
    histogram = HdrHistogram(*RANGE)
    for window in windows:
        if window.histogram:
            try:
                histogram.decode_and_add(window.histogram)
            except _DAMAGED as error:
                raise HistogramError(f"{results.WINDOWS}: a histogram is damaged: {error}") from None
    return histogram


def quantile_ms(histogram: Latencies, percent: float) -> float:
    """Below which so many percent of the latencies lie, in milliseconds."""
    return float(histogram.get_value_at_percentile(percent)) / 1000
