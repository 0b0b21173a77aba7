"""Limits that several processes share: the workers of a service, and services with one Redis."""

from __future__ import annotations

import fcntl
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from servers.redis import RedisServer, wait_until
from tests.service.limits.limited import STILL, audited, left, listed, statuses
from tests.service.running import SIGILS, Answer, Service

#: No answer waits for Redis longer than its timeout of 0.05 s; the rest is for a busy machine. Without a
#: timeout it would wait for as long as Redis is frozen.
IN_TIME: Final = 15.0
#: What comes back in a second is little beside what a slow machine asks for in one.
DEFAULTS: Final = {"SIGIL_RATE_LIMIT": "100", "SIGIL_RATE_WINDOW": "100"}


def hammer(service: Service, token: str) -> tuple[Counter[int], float]:
    """Send 160 requests from threads, on ever new connections: what they were answered with, in how long."""
    answers: Counter[int] = Counter()
    lock = threading.Lock()

    def client() -> None:
        mine: Counter[int] = Counter()
        for _ in range(4):
            with closing(service.connection()) as connection:
                for _ in range(5):
                    mine[service.call("GET", SIGILS, token=token, connection=connection).status] += 1
        with lock:
            answers.update(mine)

    threads = [threading.Thread(target=client) for _ in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, time.monotonic() - began


def timed(call: Callable[[], Answer]) -> Answer:
    """An answer that came in time."""
    began = time.monotonic()
    answer = call()
    assert time.monotonic() - began < IN_TIME
    return answer


def is_free(path: Path) -> bool:
    """Whether nobody holds a lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_four_workers_grant_one_limit(new_service: Callable[..., Service]) -> None:
    """A client of four workers gets what one worker would give, and each of them grants a part of it."""
    service = new_service(**DEFAULTS, SIGIL_WORKERS="4").start()
    answers, seconds = hammer(service, service.token())
    assert set(answers) == {200, 429}
    assert 100 <= answers[200] <= 100 + seconds + 1


def test_counts_that_outlive_a_restart(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """Kept counts are there after a restart, even a kill; others begin anew."""
    folder = tmp_path / "rates"
    service = new_service(
        **STILL, SIGIL_RATE_LIMIT="2", SIGIL_RATE_FOLDER=str(folder), SIGIL_RATE_RESTART="keep"
    ).start()
    assert statuses(service, service.token(), 3) == [200, 200, 429]
    service.kill()
    service.start()
    assert statuses(service, service.token(), 1) == [429]
    service.kill()
    service.variables |= {"SIGIL_RATE_RESTART": "reset", "SIGIL_WORKERS": "2"}
    service.start()
    (private,) = folder.glob("sigil-rates-*")
    assert private.stat().st_mode & 0o777 == 0o700
    assert statuses(service, service.token(), 3) == [200, 200, 429]
    service.kill()
    wait_until(lambda: is_free(private / "lock"))  # its workers have noticed
    # The next one removes what a killed one left, and leaves nothing itself.
    service.start()
    assert not private.exists()
    assert service.stop() == 0
    assert not list(folder.glob("sigil-rates-*"))


def test_folder_that_others_can_change(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """Tables are not kept where somebody else could change them."""
    folder = tmp_path / "rates"
    folder.mkdir()
    folder.chmod(0o777)
    service = new_service(SIGIL_RATE_FOLDER=str(folder), SIGIL_RATE_RESTART="keep")
    code, said = service.start_in_vain()
    assert code == 69
    assert said.startswith("SIGIL_RATE_FOLDER: ")


def test_two_hosts_grant_one_limit(new_service: Callable[..., Service], shared_redis: RedisServer) -> None:
    """Two services with one Redis grant a user one limit."""
    # On a busy machine Redis may be late; nobody else shall grant anything then.
    shared = {"REDIS_URL": shared_redis.url, "SIGIL_RATE_OUTAGE": "deny"}
    services = [new_service(**DEFAULTS, **shared).start() for _ in range(2)]
    tokens = [service.token("two-hosts") for service in services]
    answers: Counter[int] = Counter()
    began = time.monotonic()
    with closing(services[0].connection()) as one, closing(services[1].connection()) as two:
        turns = itertools.cycle(zip(services, tokens, (one, two), strict=True))
        for service, token, connection in itertools.islice(turns, 2000):
            answers[service.call("GET", SIGILS, token=token, connection=connection).status] += 1
            if answers[429] == 10:
                break
    assert answers[429] == 10
    assert 100 - answers[503] <= answers[200] <= 100 + (time.monotonic() - began) + 1


def test_redis_frozen_and_back(new_service: Callable[..., Service], redis_server: RedisServer) -> None:
    """While Redis is frozen each class of calls has its policy, at once; then all is as before, unaided."""
    service = new_service(
        **STILL,
        SIGIL_RATE_LIMIT="8",
        REDIS_URL=redis_server.url,
        SIGIL_RATE_OUTAGE="verify=deny,read=allow",
    ).start()
    token = service.token()
    verify = {"sigil": "x", "data": {}}

    def encode() -> Answer:
        return timed(lambda: service.call("POST", SIGILS, {"data": {}}, token=token))

    wait_until(lambda: "ratelimit" in listed(service, service.token("another")).headers)  # it is connected
    assert [encode().status for _ in range(2)] == [201, 201]
    redis_server.freeze()
    try:
        began = time.monotonic()
        # This host's buckets know what Redis has granted.
        assert [left(encode())["user"] for _ in range(6)] == [5, 4, 3, 2, 1, 0]
        assert encode().status == 429
        for _ in range(10):
            allowed = timed(lambda: listed(service, token))
            assert allowed.status == 200
            assert "ratelimit" not in allowed.headers
        denied = timed(lambda: service.call("POST", f"{SIGILS}/verify", verify, token=token))
        assert (denied.status, denied.json["code"]) == (503, "limiter_unavailable")
        assert int(denied.headers["retry-after"]) > 0
        assert timed(lambda: service.call("GET", "/healthz")).status == 200
        ready = timed(lambda: service.call("GET", "/readyz"))
        assert (ready.status, ready.json["limits"]) == (200, "degraded")
        assert service.logged("redis for rate limits failing")
        print(f"frozen for {time.monotonic() - began:.2f} s")
    finally:
        redis_server.thaw()
    wait_until(lambda: service.call("GET", "/readyz").json["limits"] == "ok")
    other = service.token(subject="other")
    wait_until(lambda: service.call("POST", f"{SIGILS}/verify", verify, token=other).status == 200)
    wait_until(lambda: "ratelimit" in listed(service, other).headers)
    assert audited(service, "limiter.degraded", 1)[0]["nodes"] == f"127.0.0.1:{redis_server.port}"
    assert audited(service, "limiter.recovered", 1)
    assert not service.logged("request failed")
    assert len(service.logged("rate limits not checked")) == 1


def test_redis_that_is_not_there(new_service: Callable[..., Service], redis_server: RedisServer) -> None:
    """A service starts without its Redis, is not ready where encodes are denied, and is when Redis comes."""
    redis_server.kill()
    service = new_service(REDIS_URL=redis_server.url, SIGIL_RATE_OUTAGE="encode=deny").start()
    token = service.token()
    answer = timed(lambda: service.call("POST", SIGILS, {"data": {}}, token=token))
    assert answer.status == 503
    assert timed(lambda: listed(service, token)).status == 200
    for _ in range(10):  # until its breaker knows
        timed(lambda: listed(service, token))
    wait_until(lambda: service.call("GET", "/readyz").status == 503)
    assert service.call("GET", "/readyz").json["detail"] == "not now: limiter_unavailable"
    assert service.call("GET", "/healthz").status == 200
    redis_server.start()
    wait_until(lambda: service.call("GET", "/readyz").status == 200)
    assert service.call("POST", SIGILS, {"data": {}}, token=token).status == 201
