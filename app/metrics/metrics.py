"""The metrics of a service: where they are read, and what they are kept in."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from app.metrics.buffered import BufferedRegistry
from app.metrics.folder import MetricsFolder
from app.metrics.listener import answering
from app.server.failures import UNAVAILABLE, StartFailedError
from app.server.listening import listen

_Counts = TypeVar("_Counts")

#: A file that another process just makes is empty for a moment, which the library takes for damaged.
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.01


class Metrics:
    """The metrics of one service, in however many processes.

    Made before there are workers, without a thread. With several workers, each counts in files of its own
    place, and each answers at the one address for all of them: whichever accepts. So metrics can be read as
    long as one worker lives.
    """

    def __init__(self, host: str, port: int, workers: int, *, variables: str) -> None:
        """Listen, and make the folder that several workers need.

        Args:
            host: a name or an address.
            port: 0 for any free one.
            workers: how many processes count.
            variables: what host and port were set by.

        Raises:
            PortTakenError, StartFailedError: saying why not.
        """
        self._variables = variables
        self._listener = listen(host, port, variables)
        try:
            self._folder = MetricsFolder() if workers > 1 else None
        except OSError as error:
            self._listener.close()
            message = f"{variables}: no folder for metrics can be made: {error.strerror}"
            raise StartFailedError(message, UNAVAILABLE) from None

    @property
    def port(self) -> int:
        """Where metrics can be read."""
        port: int = self._listener.getsockname()[1]
        return port

    @contextlib.contextmanager
    def at_work(self, make: Callable[[CollectorRegistry], _Counts], place: int = 0) -> Iterator[_Counts]:
        """Count in this process, and answer; once in a process, after all forks.

        Args:
            make: what counts, in this registry.
            place: which of the workers' places this process fills.

        Raises:
            StartFailedError: there is no room for the metrics of several workers.
        """
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        counted = BufferedRegistry()
        scraped: CollectorRegistry = counted
        if self._folder is None:
            values.ValueClass = values.MutexValue
            ProcessCollector(registry=scraped)
            PlatformCollector(registry=scraped)
            GCCollector(registry=scraped)
        else:
            # The library knows only the environment; chosen here, whatever was there when it was imported.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._folder.path)
            try:
                self._folder.prepare(place)
            except OSError as error:
                message = f"{self._variables}: {self._folder.path}: {error.strerror}"
                raise StartFailedError(message, UNAVAILABLE) from None
            values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
            scraped = CollectorRegistry()
            MultiProcessCollector(scraped, str(self._folder.path))  # type: ignore[no-untyped-call]

        def render(accept: str) -> tuple[bytes, str]:
            counted.flush()  # of this process; the others do it once a second
            return _render(scraped, accept)

        counts = make(counted)
        try:
            with answering(self._listener, render, counted.flush):
                yield counts
        finally:
            counted.flush()
            values.close_all_multiprocess_files()  # type: ignore[no-untyped-call]

    def ended(self, place: int) -> None:
        """Note that a worker has ended."""
        if self._folder is not None:
            self._folder.forget_gauges(place)

    def close(self) -> None:
        """Stop listening, and remove the folder; for the process that made it, when its workers ended."""
        self._listener.close()
        if self._folder is not None:
            self._folder.remove()


def _render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    encode, media_type = choose_encoder(accept)
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(struct.error, FileNotFoundError):
            return encode(registry), media_type
        time.sleep(_PAUSE)
    return encode(registry), media_type
