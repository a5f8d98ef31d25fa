"""Loads many missing values in one call.

Written once for threads and event loops (see `execution.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic, perf_counter
from typing import Any, NamedTuple, cast, final

from tiercel._core import Finally
from tiercel.cache.arguments import refuse_used_up
from tiercel.cache.entry import Entry
from tiercel.cache.execution import ON_THREAD, Execution, OnLoop, run_now
from tiercel.cache.keys import Key
from tiercel.cache.loads import Load, Loader
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.single_flight import LoadFlight
from tiercel.cache.waiting import loading
from tiercel.checks import items
from tiercel.errors import InvalidInputError

__all__ = ["Batch", "BatchLoader"]

BatchLoader = Callable[[list[Any]], Any]


class _Led(NamedTuple):
    """A key that the caller loads."""

    load: Load
    flight: LoadFlight
    stale: Entry | None


class _Begun(NamedTuple):
    """The keys of a batch before anything is loaded."""

    answers: dict[Key, Answer]
    stale: list[Load]
    """Keys whose answer is stale."""
    led: list[_Led]
    others: list[Load]
    """Keys that other callers are loading."""


@final
class _OwnFlights:
    """The flights of a call.

    None outlives the call, even if a thread still creates some after the caller has gone.
    """

    def __init__(self, on: Execution) -> None:
        self.is_ended = False
        self._on = on
        self._made: list[tuple[Load, LoadFlight]] = []

    def make(self, load: Load) -> LoadFlight:
        """Create a flight."""
        flight = load.flight(self._on)
        self._made.append((load, flight))
        return flight

    def check(self) -> None:
        """End the flights that were created after the call has ended."""
        if self.is_ended:
            self.end()

    def end(self) -> None:
        """End all flights."""
        self.is_ended = True
        for load, flight in list(self._made):
            load.end(flight)


class Batch(NamedTuple):
    """A request for many distinct keys."""

    loads: Sequence[Load]

    def run(self, loader: BatchLoader) -> dict[Key, Answer]:
        """Return the values of the keys.

        Load the missing ones in one call, and wait for those that other callers are loading.
        """
        return run_now(self._run, loader, ON_THREAD)

    async def arun(self, loader: BatchLoader) -> dict[Key, Answer]:
        """Do the same on an event loop. The loader may be a coroutine function."""
        return await self._run(loader, OnLoop())

    async def _run(self, loader: BatchLoader, on: Execution) -> dict[Key, Answer]:
        own = _OwnFlights(on)
        with Finally(own.end):
            begun = await on.do(self._begin, own)
            answers, until = begun.answers, monotonic() + self.timeout
            if begun.stale:
                names = tuple(load.name for load in begun.stale)
                on.refresh(_shared(begun.stale).refresher, names, lambda: _refresh(begun.stale, loader, on))
            if begun.led:
                answers.update(await _lead(begun.led, loader, on))
        for load in begun.others:
            answers[load.key] = await load.until(until).run_on(_one(loader, on), on)
        return answers

    @property
    def timeout(self) -> float:
        """The total seconds to wait for other callers."""
        return max((load.timeout for load in self.loads), default=0.0)

    def _begin(self, own: _OwnFlights) -> _Begun:
        """Read the tiers, and divide the missing keys among this caller and others."""
        begun = _Begun({}, [], [], [])
        with Finally(own.check):
            for load, (answer, stale) in zip(self.loads, self._find(), strict=True):
                if answer is not None:
                    begun.answers[load.key] = answer
                    begun.stale.extend([load] if load.needs_refresh(answer) else [])
                    continue
                new = own.make(load)
                if load.join(new) is not new:
                    begun.others.append(load)
                elif (loaded := load.completed_before(new)) is not None:
                    begun.answers[load.key] = loaded
                else:
                    begun.led.append(_Led(load, new, stale))
        return begun

    def _find(self) -> list[tuple[Answer | None, Entry | None]]:
        if not self.loads:
            return []
        shared, namespace = self.loads[0].shared, self.loads[0].namespace
        now = shared.clock()
        found = shared.lookup.find_many([load.name for load in self.loads], namespace, now)
        return [load.classify(entry, stale, now) for load, (entry, stale) in zip(self.loads, found, strict=True)]


def _shared(loads: Sequence[Load]) -> Shared:
    return loads[0].shared


async def _lead(led: Sequence[_Led], loader: BatchLoader, on: Execution) -> dict[Key, Answer]:
    """Load the caller's keys in one call."""
    begun = perf_counter()
    keys, flights = [load.key for load, _, _ in led], [flight for _, flight, _ in led]
    try:
        with loading(flights):
            values = await on.value(loader(list(keys)), "aget_many_or_load")
        listed = _listed(keys, values)
    except BaseException as error:  # noqa: BLE001
        return _failed(led, error)
    return await on.complete(flights, _complete, led, listed, perf_counter() - begun)


def _complete(led: Sequence[_Led], values: Sequence[Any], took: float) -> dict[Key, Answer]:
    with Finally(_end_completed, led):
        return _completed(led, values, took)


def _end_completed(led: Sequence[_Led]) -> None:
    for load, flight, _ in led:
        load.end_completed(flight)


async def _refresh(loads: Sequence[Load], loader: BatchLoader, on: Execution) -> None:
    """Reload the stale values that no other caller is reloading.

    Nobody waits for the results; a failure is counted.
    """
    own = _OwnFlights(on)
    with Finally(own.end):
        made = [_Led(load, own.make(load), None) for load in loads]
        if led := [each for each in made if each.load.begin_refresh(each.flight)]:
            await _lead(led, loader, on)


def _completed(led: Sequence[_Led], values: Sequence[Any], took: float) -> dict[Key, Answer]:
    """Complete all flights. If one value raises an error, the others are completed first."""
    answers: dict[Key, Answer] = {}
    failure: BaseException | None = None
    for (load, flight, _), value in zip(led, values, strict=True):
        try:
            answers[load.key] = load.complete(flight, value, took / len(led))
        except BaseException as error:  # noqa: BLE001
            failure = error
    if failure is not None:
        raise failure
    return answers


def _failed(led: Sequence[_Led], error: BaseException) -> dict[Key, Answer]:
    """Fail all flights.

    Return stale values if fail-safe allows that for all keys, or raise the error.
    """
    answers: dict[Key, Answer] = {}
    for load, flight, stale in led:
        is_outdated = load.give_up(flight, error)
        answer = None if is_outdated else load.fail_safe_answer(error, stale)
        if answer is not None:
            answers[load.key] = answer
    if len(answers) < len(led):
        raise error
    return answers


def _listed(keys: Sequence[Key], values: Any) -> list[Any]:
    """Return the values of a mapping or a list in the order of the keys.

    Refuse values that can be read only once.
    """
    listed = _in_order(keys, values)
    for key, value in zip(keys, listed, strict=True):
        refuse_used_up(value, "loader", "return", key)
    return listed


def _in_order(keys: Sequence[Key], values: Any) -> list[Any]:
    if isinstance(values, Mapping):
        found = cast("Mapping[Key, Any]", values)
        missing = [key for key in keys if key not in found]
        if missing:
            raise InvalidInputError(f"loader: expected a value for each key, got none for {missing[0]!r}")
        return [found[key] for key in keys]
    listed = items(values)
    if listed is None or len(listed) != len(keys):
        got = type(values).__name__ if listed is None else len(listed)
        raise InvalidInputError(f"loader: expected a mapping or a list of {len(keys)} values, got {got}")
    return listed


def _one(loader: BatchLoader, on: Execution) -> Loader:
    """Make a loader of single keys from a batch loader."""

    async def load(key: Key) -> Any:
        return _listed([key], await on.value(loader([key]), "aget_many_or_load"))[0]

    return on.loader(load)
