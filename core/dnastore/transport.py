"""Requests to a DNAStore: over mutual TLS, behind a breaker, again where that is safe."""

from __future__ import annotations

import asyncio
import io
import math
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

import aiohttp
import stamina
import stamina.instrumentation
import structlog
from yarl import URL

from core.breaker import Breaker, BreakerOpenError, State
from core.dnastore import answers
from core.dnastore.diagnosis import handshake_trouble
from core.dnastore.failures import AttemptFailedError, Trouble, failure_of
from core.dnastore.wire import PREFIX
from core.errors import DomainError, StoreOverloadedError, StoreUnavailableError
from core.resolver import Resolver
from core.store.observation import StoreObserver
from core.tracing import RequestTracer

_T = TypeVar("_T")

#: Part of a call's time that one attempt may go without a sign of life, so that some is left for another.
_PATIENCE: Final = 0.4
#: Seconds that an idle connection is kept; less than a server keeps it.
_KEEP_ALIVE: Final = 15.0
#: Seconds between attempts: the first pause, the longest, and what chance adds.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_JITTER: Final = 0.1
#: Seconds that go by before the same trouble is logged again.
_QUIET: Final = 60.0
#: Bytes of a body that aiohttp sends in one piece.
_LARGE: Final = 1 << 20
#: Statuses of answers in which there is something.
_GOOD: Final = frozenset({200, 204})

#: Codes of the problems by which a store, or the server in front of it, says that it has enough to do.
_OVERLOADED: Final = frozenset({StoreOverloadedError.code, "overloaded"})

_JSON: Final = {"Content-Type": "application/json"}
_ONE_RECORD: Final = "/records/{id}"

# Its own would count in another place than the service's metrics, and log each retry.
stamina.instrumentation.set_on_retry_hooks([])

_log = structlog.get_logger("core.dnastore")

Read = Callable[[aiohttp.ClientResponse], Awaitable[_T]]


class Call(NamedTuple):
    """A request: method, path with its query behind ``/v1``, and body in JSON. All may be repeated.

    ``origins`` are the places in traces of those for whom it is made; without one it is not traced.
    """

    method: str
    path: str
    body: bytes | None = None
    origins: Sequence[object] = ()


PROBE: Final = Call("POST", "/probe")


class Transport:
    """Sends requests to one DNAStore.

    ``tls`` is asked for each request, so that certificates may change: connections that were made with
    earlier ones finish what they do, and idle ones are used no more.

    While the breaker is not closed, the DNAStore is tried in the background, so that it comes back even if
    nobody asks.

    For one event loop.
    """

    def __init__(
        self,
        url: str,
        tls: Callable[[], ssl.SSLContext],
        *,
        timeout: float,
        failures: int,
        pause: float,
        observer: StoreObserver,
        quiet: bool = False,
        tracer: RequestTracer | None = None,
    ) -> None:
        """Know the DNAStore; nothing is sent yet.

        Args:
            url: of the DNAStore, without ``/v1``.
            tls: gives what connections are made with from now on.
            timeout: seconds that a call may take, to which an attempt's patience is fitted.
            failures: in a row after which the DNAStore is left alone.
            pause: seconds for which it is.
            observer: is told of each request, and of the breaker's state.
            quiet: whether nothing is logged.
            tracer: traces requests.
        """
        self._base = url.rstrip("/") + PREFIX
        self._tls = tls
        self._patience = timeout * _PATIENCE
        self._observer = observer
        self._tracer = tracer
        self.breaker = Breaker(failures=failures, pause=pause, on_change=self._changed)
        self._session: aiohttp.ClientSession | None = None
        self._probing: asyncio.Task[None] | None = None
        self._closed = False
        self._cause = ""
        self._quiet = quiet
        self._proven = False
        self._logged: dict[str, float] = {}
        #: The loop of all calls.
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Make ready to send; in the event loop that all calls come from."""
        if self._session is not None or self._closed:
            return
        self.loop = asyncio.get_running_loop()
        self._observer.circuit_is(self.breaker.state)
        patience = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=self._patience, sock_read=self._patience
        )
        self._session = aiohttp.ClientSession(
            # How many there are at once, the client bounds.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE, resolver=Resolver()),
            timeout=patience,
            headers={"Accept-Encoding": "identity", "User-Agent": "sigil-dna"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def call(self, call: Call, read: Read[_T], moment: float) -> _T:
        """Send a request, again if that may help, and read its answer.

        Args:
            call: what to send.
            read: reads the answer; may raise AttemptFailedError.
            moment: of the event loop, after which nobody waits any more. The caller sees to it that this
                ends by then.

        Raises:
            StoreUnavailableError: there was no good answer, or the breaker is open.
        """
        try:
            return await self.attempt(call, read)
        except AttemptFailedError as first:
            if not first.repeatable:
                raise
            failed: AttemptFailedError | None = first
        clock = asyncio.get_running_loop().time

        def again(error: Exception) -> bool | float:
            if not isinstance(error, AttemptFailedError) or not error.repeatable:
                return False
            if self.breaker.state != "closed":
                return False  # it would not be sent
            if error.wait is None:
                return True
            return clock() + error.wait < moment and float(error.wait)

        try:
            async for attempt in stamina.retry_context(
                on=again,
                attempts=None,
                timeout=None,
                wait_initial=_FIRST_PAUSE,
                wait_max=_LONGEST_PAUSE,
                wait_jitter=_JITTER,
            ):
                with attempt:
                    if failed is not None:
                        # The attempt that has been made already, off the way of those that succeed.
                        earlier, failed = failed, None
                        raise earlier
                    return await self.attempt(call, read)
        except AttemptFailedError as error:
            if error.problem in _OVERLOADED:
                raise StoreOverloadedError from None
            raise
        raise AssertionError("stamina returns or raises")

    def here(self) -> object | None:
        """The place in a trace of whoever calls; None where there is no trace."""
        return None if self._tracer is None else self._tracer.here()

    async def prove(self, moment: float) -> None:
        """Return if the DNAStore is known to be one, by an answer that nobody else gives.

        Raises:
            StoreUnavailableError: it is not; see ``call``.
        """
        if not self._proven:
            await self.call(PROBE, answers.probed, moment)

    async def attempt(self, call: Call, read: Read[_T]) -> _T:
        """Send a request once, and read its answer.

        Raises:
            AttemptFailedError: there was no good answer.
            StoreUnavailableError: the breaker is open, or this is closed.
        """
        session = self._opened()
        try:
            admission = self.breaker.admit()
        except BreakerOpenError:
            raise StoreUnavailableError("open", retry_after=max(math.ceil(self.breaker.wait), 1)) from None
        # uvloop's own clock has whole milliseconds.
        clock = time.perf_counter
        began = clock()
        success: bool | None = None
        status = None
        failed: str | None = None
        span = None
        headers = {} if call.body is None else _JSON
        if self._tracer is not None and call.origins:
            span = self._tracer.request(call.method, _template(call.path), call.origins)
            headers = {**headers, **span.headers}
        try:
            async with session.request(
                call.method,
                URL(self._base + call.path, encoded=True),
                data=_sendable(call.body),
                headers=headers,
                allow_redirects=False,
                ssl=self._tls(),
            ) as response:
                status = response.status
                answer = await read(response)
            success = True
            self._proven = self._proven or status in _GOOD
            return answer
        except asyncio.CancelledError:
            # Cut off when it had had its time: that tells something. Before, it does not.
            success = False if clock() - began >= self._patience else None
            failed = "cancelled"
            raise
        except AttemptFailedError as error:
            success = not error.counts
            failed = error.trouble.reason
            self._note(error.trouble)
            raise
        except DomainError:
            success = True
            raise
        except Exception as error:
            success = False
            failure = failure_of(error)
            failed = failure.trouble.reason
            self._note(failure.trouble)
            raise failure from None
        finally:
            self._observer.requested(call.method, status, clock() - began)
            if span is not None:
                span.ended(status, failed)
            self.breaker.conclude(admission, success)

    async def diagnosed(self, error: AttemptFailedError) -> Trouble:
        """Why an attempt failed, as precisely as can be told; takes a moment."""
        if error.trouble.reason != "connection":
            return error.trouble
        url = URL(self._base)
        found = None
        # Twice: once may be an accident.
        for _ in range(2):
            found = await handshake_trouble(url.host or "", url.port or 443, self._tls(), self._patience)
            if found is None or not found.lasting:
                break
        return error.trouble if found is None or found.reason == "timeout" else found

    async def close(self) -> None:
        """Give up all connections."""
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._closed:
                raise StoreUnavailableError("closed")
            self.start()
            assert self._session is not None  # noqa: S101 - start has just made it
        return self._session

    def _note(self, trouble: Trouble) -> None:
        """Remember why an attempt failed; log what a setting may mend, now and then."""
        self._cause = trouble.line
        if trouble.setting is None or self._quiet:
            return
        now = asyncio.get_running_loop().time()
        if now < self._logged.get(trouble.line, -math.inf):
            return
        if len(self._logged) > 100:
            self._logged.clear()
        self._logged[trouble.line] = now + _QUIET
        _log.error("dnastore refused", pid=os.getpid(), reason=trouble.reason, cause=trouble.line)

    def _changed(self, state: State) -> None:
        self._observer.circuit_is(state)
        if state == "open" and self._probing is None and not self._closed:
            _log.error("dnastore failing", pid=os.getpid(), cause=self._cause)
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Try until the DNAStore answers or is given up."""
        try:
            while self.breaker.state != "closed":
                # Half open, somebody's call is under way.
                await asyncio.sleep(max(self.breaker.wait, 0.01))
                try:
                    await self.attempt(PROBE, answers.probed)
                except AttemptFailedError as error:
                    self._note(await self.diagnosed(error))
                except StoreUnavailableError:
                    pass
            _log.warning("dnastore works again", pid=os.getpid())
        finally:
            self._probing = None


def _template(path: str) -> str:
    """A path without values: those name tenants and records."""
    plain = path.partition("?")[0]
    return PREFIX + (_ONE_RECORD if plain.startswith("/records/") else plain)


def _sendable(body: bytes | None) -> bytes | io.BytesIO | None:
    """A body as aiohttp wants it: a large one piece by piece."""
    return body if body is None or len(body) <= _LARGE else io.BytesIO(body)
