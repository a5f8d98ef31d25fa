"""Remote tiers on real servers, which fail, hang, truncate answers, are killed and come back."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote import Clock, Proxy, Server, free_port, impatient, ministack, moto, redis, redis_programs, rest
from support.waiting import LONG, until

from tiercel.cache import Object, Redis
from tiercel.cache.remote import objects

VALUE = b"0123456789" * 1000


@pytest.fixture(scope="module", params=[moto, ministack], ids=lambda start: start.__name__)
def s3(request: pytest.FixtureRequest) -> Iterator[Server]:
    pytest.importorskip("moto" if request.param is moto else "ministack")
    server: Server = request.param()
    make_bucket(server.port)
    yield server
    server.kill()


@pytest.fixture
def proxy(s3: Server) -> Iterator[Proxy]:
    with Proxy(s3.port) as proxy:
        yield proxy
        proxy.release()
        proxy.shutdown()


@pytest.fixture(params=redis_programs() or [None], ids=lambda program: program and Path(program).name)
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param is None:
        pytest.skip("there is no redis-server")
    server = redis(request.param, tmp_path)
    yield server
    server.kill()


def make_bucket(port: int) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
    with urllib.request.urlopen(request, timeout=LONG):
        """The object exists."""


def options(port: int) -> dict[str, Any]:
    return {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": "a",
        "secret_access_key": "b",
        "region": "us-east-1",
    }


def in_bucket(port: int, clock: Clock | None = None, *, prefix: str = "place") -> Object:
    """Return a tier in the bucket; the clock is that of its breaker."""

    class InBucket(Object):
        _clock = staticmethod(clock or Clock())

    return InBucket(f"s3://bucket/{prefix}", level=None, soft_timeout=LONG, hard_timeout=LONG, options=options(port))


def test_an_object_store_keeps_lists_and_deletes(s3: Server) -> None:
    with (
        in_bucket(s3.port) as tier,
        in_bucket(s3.port, prefix="place/other") as inner,
        in_bucket(s3.port, prefix="elsewhere") as other,
    ):
        inner["a"] = other["a"] = b"not mine"
        values = {
            key: VALUE[:size] for size, key in enumerate(["", b"", "a", b"a", "long" * 100, b"\xff" * 65536, "x" * 101])
        }
        tier.update(values)
        assert tier.get_many([*values, "absent"]) == [*values.values(), None]
        assert set(tier) == set(values)
        assert dict(tier.items()) == values
        assert (tier.pop("a"), tier.delete("a"), "a" in tier, b"a" in tier) == (values["a"], False, False, True)
        tier.clear()
        assert (len(tier), tier.flush()) == (0, True)
        assert inner["a"] == other["a"] == b"not mine"
        assert tier.stats()["failures"] == 0


def test_more_objects_than_a_page_has_are_listed_and_cleared(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PAGE", 10)
    with in_bucket(s3.port, prefix="many") as tier:
        keys = {f"{number}" for number in range(35)}
        tier.update(dict.fromkeys(keys, b"1"))
        assert (set(tier), len(tier)) == (keys, 35)
        tier.clear()
        assert len(tier) == 0


def test_a_large_object_comes_back(s3: Server) -> None:
    large = bytes(range(250)) * 20_000
    with in_bucket(s3.port) as tier:
        assert tier.put("large", large)
        assert tier["large"] == large
        tier["empty"] = b""
        assert tier["empty"] == b""


@pytest.mark.parametrize("mode", ["fails", "cuts", "flips", "loses", "late"])
def test_a_failing_object_store_is_a_miss(proxy: Proxy, mode: str) -> None:
    clock = Clock()
    with in_bucket(proxy.server_address[1], clock) as tier:
        tier["a"] = VALUE
        tier["b"] = VALUE
        proxy.mode = mode
        assert tier.get("a") is None
        assert tier.stats()["damaged" if mode == "flips" else "failures"] == 1
        tier.put("b", b"new")
        tier.delete("c")
        rest(tier)
        assert tier.get("b") in (None, b"new")
        assert list(tier) in ([], ["b"], ["a"])
        proxy.mode = "works"
        clock.now += 100
        assert tier.get("b") in (None, b"new")
        while proxy.pending:
            proxy.land()
        assert tier.get("b") in (None, b"new")

        def put_newer() -> bool:
            # A call that began during the failure may end after it, and open the breaker once more.
            clock.now += 100
            return tier.put("b", b"newer") and tier.get("b") == b"newer"

        until(put_newer)
        assert tier.stats()["breaker"] == "closed"


def test_a_request_that_lands_late_brings_no_older_value(proxy: Proxy) -> None:
    with in_bucket(proxy.server_address[1]) as tier:
        proxy.mode = "late"
        assert not tier.put("a", b"older")
        proxy.mode = "works"
        assert tier.put("a", b"newer")
        proxy.land()
        assert tier.get("a") is None


def test_a_hanging_object_store_is_a_miss(proxy: Proxy) -> None:
    with in_bucket(proxy.server_address[1]) as tier:
        tier["a"] = b"1"
        proxy.mode = "hangs"
        with impatient(tier):
            assert (tier.get("a"), tier.put("b", b"2")) == (None, False)
        assert tier.stats()["timeouts"] == 2
        proxy.release()
        until(lambda: tier.get("b") == b"2")
        assert tier["a"] == b"1"


def test_an_object_store_that_is_gone_is_a_miss_at_once(proxy: Proxy) -> None:
    clock = Clock()
    with in_bucket(free_port(), clock) as tier:
        for _ in range(5):
            assert (tier.get("a"), tier.put("a", b"1"), list(tier)) == (None, False, [])
        assert tier.stats()["breaker"] == "open"
        failures = tier.stats()["failures"]
        assert tier.get_many(["b", "c"]) == [None, None]
        assert tier.stats()["failures"] == failures + 2


def test_a_bucket_that_is_missing_is_a_miss_that_says_why(s3: Server) -> None:
    with Object("s3://no-such-bucket/x", soft_timeout=LONG, hard_timeout=LONG, options=options(s3.port)) as tier:
        assert not tier.put("a", b"1")
        assert "NoSuchBucket" in str(tier.stats()["error"])


OTHER_PROCESS = """
import sys
from tiercel.cache import Object

options = {"endpoint": sys.argv[1], "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
with Object("s3://bucket/shared", soft_timeout=60, hard_timeout=60, options=options) as tier:
    assert tier["parent"] == b"1"
    for number in range(30):
        tier[f"{number}"] = b"child" * number
        assert tier.get("both") in (b"child", b"parent" * 100, None)
        tier["both"] = b"child"
    del tier["parent"]
"""


def test_two_processes_share_a_bucket(s3: Server) -> None:
    with in_bucket(s3.port, prefix="shared") as tier:
        tier["parent"] = b"1"
        child = subprocess.Popen([sys.executable, "-W", "ignore", "-c", OTHER_PROCESS, f"http://127.0.0.1:{s3.port}"])
        while child.poll() is None:
            tier["both"] = b"parent" * 100
            assert tier.get("both") in (b"child", b"parent" * 100, None)
        assert child.returncode == 0
        assert "parent" not in tier
        assert tier.get_many(str(number) for number in range(30)) == [b"child" * number for number in range(30)]
        assert tier.stats()["damaged"] == 0


def in_redis(server: Server, clock: Clock, *, prefix: str = "tiercel:") -> Redis:
    class InRedis(Redis):
        _clock = staticmethod(clock)

    return InRedis(f"redis://127.0.0.1:{server.port}", prefix=prefix, soft_timeout=LONG, hard_timeout=LONG)


def test_redis_that_is_killed_and_started_again(redis_server: Server) -> None:
    clock = Clock()
    with in_redis(redis_server, clock) as tier:
        tier.update({"a": b"1", "b": VALUE})
        redis_server.kill()
        for _ in range(5):
            assert tier.get_many(["a", "b"]) == [None, None]
        assert (tier.put("a", b"2"), tier.delete("b"), list(tier), "a" in tier) == (False, False, [], False)
        assert tier.stats()["breaker"] == "open"
        redis_server.start()
        assert tier.get("b") is None
        clock.now += 1
        assert tier.get("c") is None
        assert tier.stats()["breaker"] == "closed"
        assert tier.put("a", b"3")
        assert tier.flush()
        assert dict(tier) == {"a": b"3"}


def test_redis_that_hangs(redis_server: Server) -> None:
    clock = Clock()
    with in_redis(redis_server, clock) as tier:
        tier["a"] = b"1"
        redis_server.pause(True)
        with impatient(tier):
            assert (tier.get("a"), tier.put("a", b"2")) == (None, False)
        assert tier.get("a") is None
        redis_server.pause(False)
        until(lambda: tier.get("a") == b"2")
        assert tier.stats()["timeouts"] == 2


def test_what_others_keep_in_redis_is_left_alone(redis_server: Server) -> None:
    clock = Clock()
    with in_redis(redis_server, clock) as tier, in_redis(redis_server, clock, prefix="tiercel:*") as star:
        client = tier._client
        client.set("mine", "1")
        client.set("tiercel:mine", "1")
        client.rpush("tiercel:t-61", "a list")
        star["x"] = b"3"
        tier["b"] = b"2"
        assert (tier.get("a"), tier.get("b"), tier.get_many(["a", "b"])) == (None, b"2", [None, b"2"])
        assert (list(star), tier.bytes > 0) == (["x"], True)
        star.clear()
        assert tier["b"] == b"2"
        tier.clear()
        assert sorted(client.keys()) == [b"mine", b"tiercel:mine"]


def test_many_keys_of_redis(redis_server: Server) -> None:
    with in_redis(redis_server, Clock()) as tier:
        values = {f"{number}": b"%d" % number for number in range(2500)}
        tier.update(values)
        assert (len(tier), dict(tier.items())) == (2500, values)
        assert tier.get_many(values) == list(values.values())
        tier.clear()
        assert len(tier) == 0


def test_a_value_that_was_changed_in_redis_is_a_counted_miss(redis_server: Server) -> None:
    with in_redis(redis_server, Clock()) as tier:
        tier["a"] = VALUE
        tier._client.setrange("tiercel:t-61", 500, "x")
        assert (tier.get("a"), tier.stats()["damaged"], len(tier)) == (None, 1, 0)


def test_redis_where_nothing_listens() -> None:
    with Redis(f"redis://127.0.0.1:{free_port()}", soft_timeout=LONG, hard_timeout=LONG) as tier:
        tier["a"] = b"1"
        assert (tier.get("a"), tier.flush()) == (None, False)
        assert "Connection" in str(tier.stats()["error"])
