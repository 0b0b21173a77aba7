"""A caller: its pace, its calls, and how their answers count."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from locust import FastHttpUser, task
from locust.exception import StopUser

from app.api.paths import BASE
from soak.clock import now
from soak.judging import UNEXPECTED, Violations
from soak.ledger import Ledger
from soak.outages import Outages
from soak.pacing import Pacing
from soak.plan import LoadPlan
from soak.results import Operation, Wrong
from soak.tenants import Appetite, SigningKey, Tokens
from soak.windows import Windows

_JSON: Final = "application/json"
_LARGEST_WAIT: Final = 15.0


class Shared(NamedTuple):
    """What all callers of a process have in common."""

    plan: LoadPlan
    ledger: Ledger
    windows: Windows
    outages: Outages
    violations: Violations
    tokens: Tokens
    signing_key: SigningKey
    #: One that the service does not know.
    other_key: SigningKey
    #: All that there are, in the order in which they were made.
    callers: list[Caller]
    firsts: list[float]


class Answer(NamedTuple):
    """What came of a call.

    Attributes:
        status: 0: none came.
        good: whether it is one of those that were wanted, and still has to be counted.
    """

    operation: Operation
    tenant: str
    status: int
    body: bytes
    headers: Mapping[str, str]
    due: float
    started: float
    ended: float
    good: bool

    @property
    def ambiguous(self) -> bool:
        """Whether nobody knows what has been done."""
        return self.status == 0 or self.status >= 500

    @property
    def value(self) -> Any:
        """The body's JSON value; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Caller(FastHttpUser):
    """Calls at a constant pace. What is late is made up for, and its latency counts from when it was due."""

    abstract = True
    network_timeout = _LARGEST_WAIT
    connection_timeout = _LARGEST_WAIT
    #: Set before any is made.
    shared: ClassVar[Shared]
    #: What its windows are named.
    scenario: ClassVar[str]
    #: What calls count as that never began.
    main: ClassVar[Operation]

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        shared, plan = self.shared, self.shared.plan
        number = len(shared.callers)
        self.number = number * plan.processes + plan.process
        self.chance = random.Random(f"soak {plan.first_serial} {self.number}")
        self.appetite = Appetite(number, len(shared.firsts), self.chance)
        first = shared.firsts[number % len(shared.firsts)]
        self.pacing = Pacing(first, plan.pace, plan.begin + plan.seconds)
        shared.callers.append(self)
        self.due = first
        #: Since when, and until when, the present turn goes on; for the low-water mark of windows.
        self.turning = False

    def wait_time(self) -> float:
        """Seconds until the next call is due; none if it is late."""
        return max(0.0, self.pacing.due - now())

    def on_start(self) -> None:
        """Wait for the first call."""
        self._sleep(self.wait_time())

    def _sleep(self, seconds: float) -> None:
        from gevent import sleep  # noqa: PLC0415 - patched when this is called

        sleep(min(seconds, 3600.0))

    @task
    def turn(self) -> None:
        """Make the call that is due."""
        if self.pacing.due == float("inf"):
            raise StopUser
        self.due = self.pacing.take()
        self.turning = True
        try:
            self.act()
        finally:
            self.turning = False
        if self.pacing.due == float("inf"):
            raise StopUser

    def act(self) -> None:
        """Make one call, and judge its answer."""
        raise NotImplementedError

    def subject(self, tenant: str) -> str:
        """This caller's name in a tenant."""
        return f"{tenant}/{self.scenario}-{self.number}"

    def ask(
        self,
        operation: Operation,
        tenant: str,
        path: str = "",
        body: bytes | None = None,
        *,
        good: tuple[int, ...] = (200,),
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        lines: bool = False,
    ) -> Answer:
        """Make a call. What is not good is counted; what is good, the caller counts when it has judged it."""
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        bearer = self.shared.tokens.of(tenant, self.subject(tenant)) if token is None else token
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            sent.setdefault("Content-Type", "application/x-ndjson" if lines else _JSON)
        started = now()
        method = "GET" if body is None else "POST"
        with self.client.request(
            method,
            BASE + path,
            name=operation,
            data=body,  # type: ignore[arg-type] # bytes are sent as they are
            headers=sent,
            catch_response=True,
        ) as response:
            status = int(response.status_code or 0)
            content = response.content or b""
            given = {name.lower(): str(value) for name, value in (response.headers or {}).items()}
            error = getattr(response, "error", None)
            if status in good:
                response.success()
            else:
                response.failure(str(status))
        answer = Answer(operation, tenant, status, content, given, self.due, started, now(), status in good)
        if not answer.good:
            self._count_bad(answer, error)
        return answer

    def done(self, answer: Answer, records: int = 0) -> None:
        """Count an answer that is as it should be."""
        self.shared.windows.answered(answer.operation, self.scenario, answer.due, answer.ended, records)

    def refused(self, answer: Answer) -> None:
        """Count a refusal that had to be expected."""
        self.shared.windows.refused(answer.operation, self.scenario, answer.due)

    def excused(self, answer: Answer) -> bool:
        """Whether a fault was on that explains a refusal."""
        return self.shared.outages.excuse(answer.operation, answer.started, answer.ended)

    def failed(self, answer: Answer, what: str) -> None:
        """Count an answer that is not as it should be."""
        self.shared.windows.failed(answer.operation, self.scenario, answer.due, what)

    def wrong(self, answer: Answer, wrong: Wrong, detail: str) -> None:
        """Count an answer that must never be."""
        self.failed(answer, wrong)
        self.shared.violations.add(wrong, answer.operation, answer.tenant, detail)

    def _count_bad(self, answer: Answer, error: Exception | None) -> None:
        if answer.status == 0:
            self.failed(answer, "timeout" if _is_timeout(error) else "connection")
        elif answer.status == 503:
            code = str(answer.value.get("code"))
            if "retry-after" not in answer.headers:
                self.wrong(answer, UNEXPECTED, f"503 {code} without Retry-After")
            elif self.excused(answer):
                self.refused(answer)
            else:
                self.failed(answer, f"503 {code}")
        elif answer.status == 429 and self.scenario == "greedy":
            if "retry-after" in answer.headers:
                self.refused(answer)
            else:
                self.wrong(answer, UNEXPECTED, "429 without Retry-After")
        else:
            self.wrong(answer, UNEXPECTED, f"{answer.status} {answer.value.get('code')}")


def _is_timeout(error: Exception | None) -> bool:
    return isinstance(error, TimeoutError) or "timed out" in str(error)
