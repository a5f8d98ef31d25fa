"""Remote tiers: object stores, Redis, AgentFS and any object keep the promises of every tier."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_cache_tiers as tiers
from remote import Server, Shelf, on_shelf, redis, redis_programs
from support.naming import shown
from support.waiting import LONG

import tiercel
from tiercel.cache import AgentFS, Object, Redis, RemoteTier, Wrapped

Make = Callable[[int], RemoteTier]
PATIENT = {"soft_timeout": LONG, "hard_timeout": LONG}

# The tests of all tiers also run for these.
test_text_and_bytes_are_two_keys = tiers.test_text_and_bytes_are_two_keys
test_any_buffer_is_a_value = tiers.test_any_buffer_is_a_value
test_any_text_and_any_bytes_are_keys = tiers.test_any_text_and_any_bytes_are_keys
test_other_keys_are_refused = tiers.test_other_keys_are_refused
test_other_lists_of_keys_are_refused = tiers.test_other_lists_of_keys_are_refused
test_keys_may_be_any_iterable = tiers.test_keys_may_be_any_iterable
test_other_values_are_refused = tiers.test_other_values_are_refused
test_an_absent_key_is_named = tiers.test_an_absent_key_is_named
test_any_steps_beside_a_dictionary = tiers.test_any_steps_beside_a_dictionary


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    programs = redis_programs()
    if not programs:
        pytest.skip("there is no redis-server")
    server = redis(programs[0], tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def maker(kind: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[Make]:
    """Make tiers, each in its own place; they have no size."""
    numbers, made = count(), list[RemoteTier]()
    server: Server | None = request.getfixturevalue("redis_server") if kind == "redis" else None

    def tier(place: Path) -> RemoteTier:
        match kind:
            case "memory":
                return Object("memory:///", **PATIENT)
            case "file":
                return Object(f"file://{place}", level=None, **PATIENT)
            case "agentfs":
                return AgentFS(place, **PATIENT)
            case "redis":
                assert server is not None
                return Redis(f"redis://127.0.0.1:{server.port}", prefix=f"{place}[*]:", **PATIENT)
            case _:
                return on_shelf(Shelf())

    def make(size: int) -> RemoteTier:
        made.append(tier(directory / str(next(numbers))))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(params=["memory", "file", "shelf", "agentfs", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    yield from maker(request.param, request, tmp_path)


class TestObjectIsAMapping(tiers.mapping_tests.BasicTestMappingProtocol):
    """CPython's tests of mappings."""

    kind = "memory"

    @pytest.fixture(autouse=True)
    def _tiers(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
        for make in maker(self.kind, request, tmp_path):

            def encoding(make: Make = make) -> RemoteTier:
                tier = make(0)
                kind: Any = type(tier)
                tier.__class__ = type(kind.__name__, (kind,), {"__setitem__": tiers.put_text})
                return tier

            self.type2test: Any = encoding
            yield

    def _reference(self) -> dict[str, bytes]:
        return {"1": b"2", "key1": b"value1", "key2": b"\x01\x02\x03"}


class TestWrappedIsAMapping(TestObjectIsAMapping):
    """The same with any object."""

    kind = "shelf"


class TestAgentFSIsAMapping(TestObjectIsAMapping):
    """The same with the files of an agent."""

    kind = "agentfs"


class TestRedisIsAMapping(TestObjectIsAMapping):
    """The same with Redis."""

    kind = "redis"


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_a_value_of_no_bytes_and_one_of_many(make: Make, size: int) -> None:
    value = bytes(range(250)) * (size // 250)
    tier = make(0)
    assert tier.put_evicting("a", value) == (True, [])
    assert tier["a"] == value
    assert tier.delete("a")
    assert not tier.delete("a")


def test_a_value_of_100_megabytes(tmp_path: Path) -> None:
    large = bytes(1000) * 100_000
    with Object(f"file://{tmp_path}", level=None, **PATIENT) as tier:
        assert tier.put("large", large)
        assert tier["large"] == large


def test_threads_do_not_mix_up_values(make: Make) -> None:
    tier = make(0)
    wrong: list[bytes] = []

    def work(thread: int) -> None:
        for number in range(40):
            key = f"{(number * 7 + thread) % 10}"
            if number % 3 == 0:
                tier.put(key, key.encode() * 100)
            elif (value := tier.get(key)) is not None and value != key.encode() * 100:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert tier.stats()["hits"] > 200


def test_keys_of_every_length_are_listed(make: Make) -> None:
    tier = make(0)
    keys = [
        key for length in (0, 1, 99, 100, 101, 1019, 1020, 65536) for key in ("ä" * (length // 2), b"\xff" * length)
    ]
    tier.update(dict.fromkeys(keys, b"value"))
    assert set(tier) == set(keys)
    assert len(tier) == len(set(keys))
    assert dict(tier) == dict.fromkeys(keys, b"value")


def test_what_is_there_is_counted(make: Make) -> None:
    tier = make(0)
    tier.update({"a": b"1" * 1000, "b": b"2"})
    assert tier.get_many(["a", "b", "c"]) == [b"1" * 1000, b"2", None]
    assert (len(tier), tier.bytes > 100) == (2, True)
    stats = tier.stats()
    assert set(stats) == {*tiercel.cache.Memory(1).stats(), "timeouts", "breaker", "error"}
    assert (stats["entries"], stats["bytes"], stats["hits"], stats["misses"], stats["puts"]) == (2, tier.bytes, 2, 1, 2)
    assert (stats["failures"], stats["timeouts"], stats["damaged"], stats["breaker"]) == (0, 0, 0, "closed")


def test_clear_forgets_everything_and_no_more(make: Make) -> None:
    tier = make(0)
    tier.update({f"{number}" * 60: b"1" for number in range(20)})
    tier.clear()
    assert (list(tier), len(tier), tier.get("1" * 60)) == ([], 0, None)
    tier["a"] = b"2"
    assert dict(tier) == {"a": b"2"}
    assert tier.flush()


def test_thousands_of_keys_are_listed_and_cleared() -> None:
    with Object("memory:///", **PATIENT) as tier:
        keys = {f"{number}" for number in range(2500)}
        tier.update(dict.fromkeys(keys, b"1"))
        assert (set(tier), len(tier)) == (keys, 2500)
        assert set(tier.values()) == {b"1"}
        tier.clear()
        assert len(tier) == 0


def test_pop_and_popitem(make: Make) -> None:
    tier = make(0)
    tier.update({"a": b"1", "b": b"2"})
    assert (tier.pop("a"), tier.pop("a", None), tier.popitem()) == (b"1", None, ("b", b"2"))
    for call in (tier.popitem, lambda: tier.pop("a")):
        with pytest.raises(KeyError):
            call()


def test_a_tier_tells_where_it_is(make: Make) -> None:
    tier = make(0)
    assert repr(tier).startswith(f"<{type(tier).__name__}: ")
    assert repr(tier).endswith(", breaker closed>")
    tier.close()
    assert repr(tier) == f"<{type(tier).__name__}: closed>"


def test_no_password_is_shown() -> None:
    with Redis("redis://user:secret@127.0.0.1:1/3?password=secret") as tier:
        assert repr(tier) == "<Redis: redis://127.0.0.1:1/3, breaker closed>"


def test_what_outlives_the_process_is_found_again(tmp_path: Path) -> None:
    for open_ in (
        lambda: Object(f"file://{tmp_path}/objects", **PATIENT),
        lambda: AgentFS(tmp_path / "agent.db", **PATIENT),
    ):
        with open_() as tier:
            tier.update({"a": b"1", b"b": b"2", "long" * 100: b"3"})
        with open_() as tier:
            assert dict(tier) == {"a": b"1", b"b": b"2", "long" * 100: b"3"}


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("other", "t-", "t-zz", "t-6", "d-61", "T-61")]
    with Object(f"file://{tmp_path}/place", **PATIENT) as tier:
        tier.update({"a": b"1", "b": b"2"})
        for path in others:
            (tmp_path / "place" / path.name).write_bytes(b"mine")
        assert set(tier) == {"a", "b", ""}
        tier.clear()
    left = {path.name for path in (tmp_path / "place").iterdir()}
    assert left == {path.name for path in others} - {"t-"}


@pytest.mark.parametrize(
    "url", ["", "nonsense", "s3://", "ftp://127.0.0.1/x", "http://127.0.0.1/x", "file://relative"], ids=shown
)
def test_other_places_are_refused(url: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="url"):
        Object(url)


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="url, options: expected a URL and options of an object store"):
        Object("s3://bucket", options={"nonsense": 5})
    for options, named in [(5, "options"), ({"client_options": 5}, r"options\['client_options'\]")]:
        with pytest.raises(tiercel.InvalidInputError, match=f"{named}: expected a mapping, got int"):
            Object("s3://bucket", options=options)  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match="url: expected a str, got int"):
        Object(5)  # pyright: ignore[reportArgumentType]
    for level in (0, 23, "3"):
        with pytest.raises(tiercel.InvalidInputError, match="level: expected"):
            Object("memory:///", level=level)  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match="url: expected the URL of a Redis server, got 'nonsense'"):
        Redis("nonsense")
    with pytest.raises(tiercel.InvalidInputError, match="url: expected a str, got int"):
        Redis(5)  # type: ignore[arg-type]
    with pytest.raises(tiercel.InvalidInputError, match="prefix: expected a str, got int"):
        Redis("redis://127.0.0.1:1", prefix=5)  # type: ignore[arg-type]
    with pytest.raises(tiercel.InvalidInputError, match="path_or_agent: expected a path or an AgentFS, got 5"):
        AgentFS(5)


def test_a_panic_of_the_crate_is_an_error_of_the_arguments_and_an_interrupt_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class PanicException(BaseException):
        """As pyo3 raises it: not an `Exception`."""

    for raised, expected in [
        (PanicException("called `Result::unwrap()` on an `Err` value\nat line 5"), tiercel.InvalidInputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ]:

        def panics(*_: Any, raised: BaseException = raised, **__: Any) -> None:
            raise raised

        monkeypatch.setattr("obstore.store.from_url", panics)
        with pytest.raises(expected) as caught:
            Object("s3://bucket", options={"region": "x"})
        if expected is tiercel.InvalidInputError:
            assert str(caught.value).endswith("got 's3://bucket': called `Result::unwrap()` on an `Err` value")


def test_a_panic_in_a_call_is_a_miss() -> None:
    """The crate accepts an endpoint that is not a URL, and panics on use."""
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    with Object("s3://bucket", **PATIENT, options={"endpoint": "no URL", **keys}) as tier:
        assert tier.get("a") is None
        assert not tier.put("a", b"1")
        assert tier.stats()["error"].startswith("PanicException")  # type: ignore[union-attr]


def test_an_open_agent_is_used_from_its_loop(tmp_path: Path) -> None:
    import agentfs_sdk

    async def use() -> tuple[Any, list[str]]:
        agent = await agentfs_sdk.AgentFS.open(agentfs_sdk.AgentFSOptions(path=str(tmp_path / "agent.db")))
        tier = AgentFS(agent, **PATIENT)
        await asyncio.to_thread(tier.put, "a", b"1")
        value = await asyncio.to_thread(tier.get, "a")
        tier.close()
        names = await agent.fs.readdir("/tiercel")
        await agent.close()
        return value, names

    assert asyncio.run(use()) == (b"1", ["t-61"])


def _released() -> memoryview:
    view = memoryview(b"bytes" * 50)
    view.release()
    return view


@pytest.mark.parametrize(
    "content",
    [
        "text",
        5,
        _released(),
        memoryview(b"ab" * 100)[::2],
        np.zeros(9, "M8[s]"),
        np.array([object()] * 50),
        np.zeros(9, ">i4"),
    ],
    ids=lambda content: type(content).__name__,
)
def test_what_is_no_bytes_is_damage(content: Any) -> None:
    shelf = Shelf()
    tier = on_shelf(shelf)
    shelf.rows["t-61"] = content
    assert tier.get("a") is None
    assert (tier.stats()["damaged"], shelf.rows) == (1, {})


def test_an_object_of_coroutines_is_refused() -> None:
    class Coroutines:
        def get(self, name: str) -> None: ...

        async def put(self, name: str, content: bytes) -> None: ...

        def delete(self, name: str) -> None: ...

    with pytest.raises(tiercel.InvalidInputError, match="got the coroutine put"):
        Wrapped(Coroutines())


def test_counts_are_numbers() -> None:
    with on_shelf(Shelf()) as tier:
        tier.put("key", b"value")
        assert json.loads(json.dumps(tier.stats()))["puts"] == 1
        assert type(tier.stats()["puts"]) is int


def test_packages_are_imported_when_they_are_used() -> None:
    check = "import sys, tiercel.cache; assert not {'obstore', 'redis', 'agentfs_sdk'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", check], check=True)
