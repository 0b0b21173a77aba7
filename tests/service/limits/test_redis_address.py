"""URLs of Redis: what they mean, and which are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.limits.redis_address import RedisAddress


def test_addresses() -> None:
    """A URL of a cluster names any number of nodes, all with the same way in."""
    address = RedisAddress("rediss+cluster://ann:pass@one:7000,two,[::1]:7002?ssl_ca_certs=ca.pem")
    assert address.cluster
    places = [(node["host"], node.get("port")) for node in address.nodes]
    assert places == [("one", 7000), ("two", 6379), ("::1", 7002)]
    assert all(node["password"] == "pass" and node["ssl_ca_certs"] == "ca.pem" for node in address.nodes)
    assert repr(address) == "RedisAddress(cluster of one:7000, two:6379, ::1:7002)"
    with pytest.raises(ValueError, match="no database but 0"):
        RedisAddress("redis+cluster://one:7000/3")
    assert RedisAddress("redis://localhost").nodes == [{"host": "localhost", "port": 6379}]
    assert RedisAddress("redis://:p%40ss%2F@h/7").nodes == [
        {"host": "h", "port": 6379, "password": "p@ss/", "db": 7}
    ]
    assert RedisAddress("unix://ann:pw@/run/redis.sock?db=2").nodes == [
        {"path": "/run/redis.sock", "username": "ann", "password": "pw", "db": 2}
    ]
    assert RedisAddress("rediss://h").nodes == [{"host": "h", "port": 6379, "tls": True}]


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:12?s3cret=1@localhost",
        "redis://u:12/s3cret@localhost",
        "redis://u:1#s3cret@localhost",
        "redis://u:12?s3cret@localhost",
        "redis://u:s3cret%zz@localhost",
        "redis://u:s3 cret@localhost",
        "redis://h/s3cret",
        "redis://h/0/1",
        "redis://h/-1",
        "redis://h/1?db=2",
        "redis://h?password=s3cret",
        "redis://h?host=s3cret",
        "redis://h?ssl_ca_certs=/s3cret",
        "rediss://h?ssl_cert_reqs=none",
        "rediss://h?ssl_ca_certs=",
        "rediss://h?ssl_ca_certs=s3cret&ssl_ca_certs=s3cret",
        "redis://h#s3cret",
        "redis://h:0",
        "redis://h:70000",
        "redis://a,b",
        "redis://a..b",
        "redis://" + "h" * 300,
        "redis://h\nost",
        " redis://h",
        "redis://",
        "redis+cluster://one,,two",
        "redis+cluster:///run/s3cret",
        "unix://h/run/redis.sock#",
        "unix:///run/redis.sock?db=s3cret",
        "REDIS://h",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    """What would be passed over, or taken for something else, is refused, and nothing of it is shown."""
    with pytest.raises(ValueError, match="Redis") as refused:
        RedisAddress(url)
    assert "s3cret" not in repr(refused.value)


def test_files_that_an_address_names(tmp_path: Path) -> None:
    """They are looked at when the service starts."""
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for query in ("ssl_ca_certs={}", "ssl_certfile={}", "ssl_keyfile={}", "ssl_certfile={0}&ssl_keyfile={0}"):
        for file in (junk, tmp_path / "missing"):
            with pytest.raises(ValueError, match="ssl_"):
                RedisAddress(f"rediss://h?{query.format(file)}").check_files()
    RedisAddress("rediss://h").check_files()
