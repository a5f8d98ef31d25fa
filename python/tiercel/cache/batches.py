"""How many values are loaded at once that no tier has."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, perf_counter
from typing import Any, NamedTuple, cast, final

from tiercel._core import Finally
from tiercel.cache.arguments import refuse_coroutine, refuse_used_up
from tiercel.cache.entry import Entry
from tiercel.cache.loads import Load, Loader
from tiercel.cache.pool import in_thread
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.single_flight import Flight
from tiercel.cache.tiers import Key
from tiercel.cache.waiting import loading
from tiercel.checks import items
from tiercel.errors import InvalidInputError

__all__ = ["Batch", "BatchLoader"]

BatchLoader = Callable[[list[Any]], Any]


class _Led(NamedTuple):
    """A key that the caller loads."""

    load: Load
    flight: Flight
    stale: Entry | None


class _Begun(NamedTuple):
    """What is known of the keys of a batch before anything is loaded."""

    answers: dict[Key, Answer]
    old: list[Load]
    """Keys whose answer is past its time."""
    led: list[_Led]
    others: list[Load]
    """Keys that others load."""


@final
class _OwnFlights:
    """The flights of a call. None of them outlives it, even if a thread still begins some when the caller has gone."""

    def __init__(self) -> None:
        self.is_done = False
        self._made: list[tuple[Load, Flight]] = []

    def make(self, load: Load, *, loop: asyncio.AbstractEventLoop | None) -> Flight:
        """A flight that begins now."""
        flight = load.flight()
        if loop is not None:
            flight.belongs_to(loop)
        self._made.append((load, flight))
        return flight

    def check(self) -> None:
        """What was made may have been made too late."""
        if self.is_done:
            self.end()

    def end(self) -> None:
        """The caller goes."""
        self.is_done = True
        for load, flight in list(self._made):
            load.end(flight)


class Batch(NamedTuple):
    """Keys that somebody wants, each once."""

    loads: Sequence[Load]

    def run(self, loader: BatchLoader) -> dict[Key, Answer]:
        """Values from tiers; what nobody loads is loaded in one call, what others load is waited for."""
        own = _OwnFlights()
        with Finally(own.end):
            begun = self._begin(own)
            answers, until = begun.answers, monotonic() + self.timeout
            if begun.old:
                _shared(begun.old).refresher.add(_names(begun.old), lambda: _refresh(begun.old, loader))
            if begun.led:
                answers.update(_lead(begun.led, loader))
        for load in begun.others:
            answers[load.key] = load.until(until).run(_one(loader))
        return answers

    async def arun(self, loader: BatchLoader) -> dict[Key, Answer]:
        """The same on an event loop; the loader may be a coroutine function."""
        own = _OwnFlights()
        with Finally(own.end):
            begun = await in_thread(self._begin, own, asyncio.get_running_loop())
            answers, until = begun.answers, monotonic() + self.timeout
            if begun.old:
                _shared(begun.old).refresher.aadd(_names(begun.old), lambda: _arefresh(begun.old, loader))
            if begun.led:
                answers.update(await _alead(begun.led, loader))
        for load in begun.others:
            answers[load.key] = await load.until(until).arun(_aone(loader))
        return answers

    @property
    def timeout(self) -> float:
        """Seconds to wait for others, in all."""
        return max((load.timeout for load in self.loads), default=0.0)

    def _begin(self, own: _OwnFlights, loop: asyncio.AbstractEventLoop | None = None) -> _Begun:
        """What is there, what the caller is to load, and what others load."""
        begun = _Begun({}, [], [], [])
        with Finally(own.check):
            for load, (answer, stale) in zip(self.loads, self._find(), strict=True):
                if answer is not None:
                    begun.answers[load.key] = answer
                    begun.old.extend([load] if load.needs_refresh(answer) else [])
                    continue
                new = own.make(load, loop=loop)
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


def _names(loads: Sequence[Load]) -> tuple[bytes, ...]:
    return tuple(load.name for load in loads)


def _lead(led: Sequence[_Led], loader: BatchLoader) -> dict[Key, Answer]:
    """Load what the caller leads, in one call."""
    begun = perf_counter()
    try:
        with loading([flight for _, flight, _ in led]):
            values = loader([load.key for load, _, _ in led])
        refuse_coroutine(values, "aget_many_or_load")
        listed = _listed([load.key for load, _, _ in led], values)
    except BaseException as error:  # noqa: BLE001
        return _failed(led, error)
    return _completed(led, listed, perf_counter() - begun)


async def _alead(led: Sequence[_Led], loader: BatchLoader) -> dict[Key, Answer]:
    begun = perf_counter()
    try:
        with loading([flight for _, flight, _ in led]):
            values = loader([load.key for load, _, _ in led])
            if inspect.isawaitable(values):
                values = await values
        listed = _listed([load.key for load, _, _ in led], values)
    except BaseException as error:  # noqa: BLE001
        return _failed(led, error)
    completing = in_thread(_complete_in_thread, led, listed, perf_counter() - begun)
    # Whoever is cancelled now leaves them to the thread.
    for _, flight, _ in led:
        flight.is_completing = True
    return await completing


def _complete_in_thread(led: Sequence[_Led], values: Sequence[Any], took: float) -> dict[Key, Answer]:
    with Finally(_completed_in_thread, led):
        return _completed(led, values, took)


def _completed_in_thread(led: Sequence[_Led]) -> None:
    for load, flight, _ in led:
        load.completed_in_thread(flight)


def _refresh(loads: Sequence[Load], loader: BatchLoader) -> None:
    """Load anew what nobody else does. Nobody waits for what comes of it: a failure is counted."""
    own = _OwnFlights()
    with Finally(own.end):
        if led := _begin_refreshes(loads, own, None):
            _lead(led, loader)


async def _arefresh(loads: Sequence[Load], loader: BatchLoader) -> None:
    own = _OwnFlights()
    with Finally(own.end):
        if led := _begin_refreshes(loads, own, asyncio.get_running_loop()):
            await _alead(led, loader)


def _begin_refreshes(loads: Sequence[Load], own: _OwnFlights, loop: asyncio.AbstractEventLoop | None) -> list[_Led]:
    made = [_Led(load, own.make(load, loop=loop), None) for load in loads]
    return [led for led in made if led.load.begin_refresh(led.flight)]


def _completed(led: Sequence[_Led], values: Sequence[Any], took: float) -> dict[Key, Answer]:
    """Hand out what was loaded. If one of the values is none that can be kept, the others are handed out first."""
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
    """What may stand in for what could not be loaded, if that is so of all keys."""
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
    """The values of keys in their order, of a mapping or a list, of which each can be kept."""
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


def _one(loader: BatchLoader) -> Loader:
    return lambda key: _listed([key], loader([key]))[0]


def _aone(loader: BatchLoader) -> Loader:
    async def load(key: Key) -> Any:
        values = loader([key])
        return _listed([key], await values if inspect.isawaitable(values) else values)[0]

    return load
