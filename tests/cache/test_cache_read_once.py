"""Values that can be read only once are not cached: no caller gets what another one has used up."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tiercel
from tiercel.cache import Cache, Memory


def numbers() -> Iterator[int]:
    yield from range(3)


async def later() -> AsyncIterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


KINDS: list[tuple[Callable[[], Any], str]] = [
    (numbers, r"got generator; {} a list of its items"),
    (lambda: iter([1]), r"got list_iterator; {} a list of its items"),
    (lambda: map(str, [1]), r"got map; {} a list of its items"),
    (lambda: io.StringIO("a line"), r"got StringIO; {} a list of its items"),
    (later, r"got async_generator; {} \[each async for each in \.\.\.\]"),
]
ONCE = pytest.mark.parametrize(("make", "message"), KINDS, ids=lambda value: getattr(value, "__name__", ""))


@pytest.fixture(params=["plain", "pickle (unsafe)"])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    with Cache([Memory(1 << 20)], codec=request.param) as made:
        made["k"] = "before"
        yield made


@ONCE
def test_put_refuses_it_and_keeps_what_was_there(cache: Cache, make: Callable[[], Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"^value: .*" + message.format("put")):
        cache.put("k", make())
    assert cache["k"] == "before"


def test_put_refuses_a_coroutine(cache: Cache) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"^value: .* got coroutine; await it first"):
        cache["k"] = coroutine()
    assert cache["k"] == "before"


@ONCE
def test_loaders_that_return_it_fail_for_all_who_wait(cache: Cache, make: Callable[[], Any], message: str) -> None:
    def load(key: Any) -> Any:
        return make()

    expected = r"^loader: expected a value for 'new' that .*" + message.format("return")
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        cache.get_or_load("new", load)
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        asyncio.run(cache.aget_or_load("new", load))
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        cache.get_many_or_load(["new"], lambda keys: {key: make() for key in keys})
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        asyncio.run(cache.aget_many_or_load(["new"], lambda keys: [make() for _ in keys]))
    assert (cache.get("new"), cache.stats()["loads"]) == (None, 0)


def test_no_caller_of_many_gets_a_part_of_it(cache: Cache) -> None:
    def ask(_: int) -> str:
        with pytest.raises(tiercel.InvalidInputError, match="got generator"):
            cache.get_or_load("new", lambda _: numbers())
        return "refused"

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(8))) == ["refused"] * 8


def test_many_values_may_come_from_a_generator(cache: Cache) -> None:
    assert cache.get_many_or_load(["a", "b"], lambda keys: (key.upper() for key in keys)) == ["A", "B"]


def test_an_awaitable_of_an_awaitable_is_refused(cache: Cache) -> None:
    async def load(key: Any) -> Any:
        return coroutine()

    with pytest.raises(
        tiercel.InvalidInputError, match=r"^loader: expected a value for 'new' that .*got coroutine; await it first"
    ):
        asyncio.run(cache.aget_or_load("new", load))


def test_memoized_functions_that_return_it_are_named(cache: Cache) -> None:
    @cache.memoize()
    def rows(count: int) -> Iterator[int]:
        return iter(range(count))

    with pytest.raises(
        tiercel.InvalidInputError, match=r"^loader: expected a value for rows\(3\) that .*got range_iterator"
    ):
        rows(3)


@pytest.mark.parametrize("function", [numbers, later])
def test_generator_functions_are_not_memoized(cache: Cache, function: Callable[[], Any]) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=f"generator function {function.__name__}; return a list"):
        cache.memoize()(function)
