"""How many values are loaded at once that no tier has."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic, perf_counter
from typing import Any, NamedTuple, cast

from tiercel.cache.flights import Flight
from tiercel.cache.ladder import Seen
from tiercel.cache.loads import Load, Loader, held, refuse_coroutine, start, unhurried
from tiercel.cache.shared import Answer
from tiercel.cache.tiers import Key
from tiercel.checks import items
from tiercel.errors import InvalidInputError

__all__ = ["Batch", "BatchLoader"]

BatchLoader = Callable[[list[Any]], Any]


class _Led(NamedTuple):
    """A key that the caller loads."""

    load: Load
    flight: Flight
    stale: Seen | None


class _Begun(NamedTuple):
    """What is known of the keys of a batch before anything is loaded."""

    answers: dict[Key, Answer]
    old: list[_Led]
    """Keys whose answer is past its time, and that the caller loads anew."""
    led: list[_Led]
    others: list[Load]
    """Keys that others load."""

    @property
    def all_led(self) -> list[_Led]:
        """Everything that somebody may wait for."""
        return [*self.old, *self.led]


class Batch(NamedTuple):
    """Keys that somebody wants, each once."""

    loads: Sequence[Load]

    def run(self, loader: BatchLoader) -> dict[Key, Answer]:
        """Values from tiers; what nobody loads is loaded in one call, what others load is waited for."""
        begun = self._begin()
        answers, until = begun.answers, monotonic() + self.timeout
        if begun.old:
            start(lambda: _lead_quietly(begun.old, loader), lambda error: _give_up(begun.old, error))
        if begun.led:
            answers.update(_lead(begun.led, loader))
        for load in begun.others:
            answers[load.key] = load.until(until).run(_one(loader))
        return answers

    async def arun(self, loader: BatchLoader) -> dict[Key, Answer]:
        """The same on an event loop; the loader may be a coroutine function."""
        beginning = held(asyncio.ensure_future(asyncio.to_thread(self._begin)))
        try:
            begun = await asyncio.shield(beginning)
        except asyncio.CancelledError as error:
            # What is joined by then is given up.
            cause = error
            beginning.add_done_callback(lambda task: _give_up(task.result().all_led, cause))
            raise
        answers, until = begun.answers, monotonic() + self.timeout
        if begun.old:
            held(asyncio.ensure_future(_alead_quietly(begun.old, loader)))
        if begun.led:
            answers.update(await _alead(begun.led, loader))
        for load in begun.others:
            answers[load.key] = await load.until(until).arun(_aone(loader))
        return answers

    @property
    def timeout(self) -> float:
        """Seconds to wait for others, in all."""
        return max((load.timeout for load in self.loads), default=0.0)

    def _begin(self) -> _Begun:
        """What is there, what the caller is to load, and what others load."""
        begun = _Begun({}, [], [], [])
        try:
            for load, (answer, stale) in zip(self.loads, self._find(), strict=True):
                if answer is not None and not answer.stale:
                    begun.answers[load.key] = answer
                    continue
                flight, leads = load.join()
                if answer is not None:
                    begun.answers[load.key] = answer
                    begun.old.extend([_Led(load, flight, None)] if leads else [])
                elif leads and (landed := load.landed_before(flight)) is not None:
                    begun.answers[load.key] = landed
                elif leads:
                    begun.led.append(_Led(load, flight, stale))
                else:
                    begun.others.append(load)
        except BaseException as error:
            _give_up(begun.all_led, error)
            raise
        return begun

    def _find(self) -> list[tuple[Answer | None, Seen | None]]:
        if not self.loads:
            return []
        shared, namespace = self.loads[0].shared, self.loads[0].namespace
        now = shared.clock()
        found = shared.ladder.find_many([load.name for load in self.loads], namespace, now)
        return [load.judge(seen, stale, now) for load, (seen, stale) in zip(self.loads, found, strict=True)]


def _lead(led: Sequence[_Led], loader: BatchLoader) -> dict[Key, Answer]:
    """Load what the caller leads, in one call."""
    begun = perf_counter()
    try:
        with _loading(led):
            values = loader([load.key for load, _, _ in led])
        refuse_coroutine(values, "aget_many_or_load")
        listed = _listed([load.key for load, _, _ in led], values)
    except BaseException as error:  # noqa: BLE001
        return _crashed(led, error)
    return _landed(led, listed, perf_counter() - begun)


async def _alead(led: Sequence[_Led], loader: BatchLoader) -> dict[Key, Answer]:
    begun = perf_counter()
    try:
        with _loading(led):
            values = loader([load.key for load, _, _ in led])
            if inspect.isawaitable(values):
                values = await values
        listed = _listed([load.key for load, _, _ in led], values)
    except BaseException as error:  # noqa: BLE001
        return _crashed(led, error)
    return await unhurried(_landed, led, listed, perf_counter() - begun)


def _lead_quietly(led: Sequence[_Led], loader: BatchLoader) -> None:
    """Nobody waits for what comes of it: a failure is counted."""
    with suppress(Exception):
        _lead(led, loader)


async def _alead_quietly(led: Sequence[_Led], loader: BatchLoader) -> None:
    with suppress(Exception):
        await _alead(led, loader)


def _give_up(led: Sequence[_Led], error: BaseException) -> None:
    for load, flight, _ in led:
        load.give_up(flight, error)


def _loading(led: Sequence[_Led]) -> AbstractContextManager[None]:
    return led[0].load.shared.flights.loading([flight for _, flight, _ in led])


def _landed(led: Sequence[_Led], values: Sequence[Any], took: float) -> dict[Key, Answer]:
    """Hand out what was loaded. If one of the values is none that can be kept, the others are handed out first."""
    answers: dict[Key, Answer] = {}
    failure: BaseException | None = None
    for (load, flight, _), value in zip(led, values, strict=True):
        try:
            answers[load.key] = load.land(flight, value, took / len(led))
        except BaseException as error:  # noqa: BLE001
            failure = error
    if failure is not None:
        raise failure
    return answers


def _crashed(led: Sequence[_Led], error: BaseException) -> dict[Key, Answer]:
    """What may stand in for what could not be loaded, if that is so of all keys."""
    answers: dict[Key, Answer] = {}
    for load, flight, stale in led:
        is_outdated = load.give_up(flight, error)
        answer = None if is_outdated else load.stand_in(error, stale)
        if answer is not None:
            answers[load.key] = answer
    if len(answers) < len(led):
        raise error
    return answers


def _listed(keys: Sequence[Key], values: Any) -> list[Any]:
    """The values of keys in their order, of a mapping or a list."""
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
