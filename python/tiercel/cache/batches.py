"""How many values are loaded at once that no tier has."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Any, NamedTuple, cast

from tiercel.cache.flights import Flight
from tiercel.cache.ladder import Seen
from tiercel.cache.loads import Load, Loader, refuse_coroutine
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


class Batch(NamedTuple):
    """Keys that somebody wants, each once."""

    loads: Sequence[Load]

    def run(self, loader: BatchLoader) -> dict[Key, Answer]:
        """Values from tiers; what nobody loads is loaded in one call, what others load is waited for."""
        answers, led, others = self._begin(loader)
        if led:
            begun = perf_counter()
            try:
                with _loading(led):
                    values = loader([load.key for load, _, _ in led])
                refuse_coroutine(values, "aget_many_or_load")
                answers.update(_landed(led, values, perf_counter() - begun))
            except BaseException as error:  # noqa: BLE001
                answers.update(_crashed(led, error))
        answers.update({load.key: load.run(_one(loader)) for load in others})
        return answers

    async def arun(self, loader: BatchLoader) -> dict[Key, Answer]:
        """The same on an event loop; the loader may be a coroutine function."""
        answers, led, others = await asyncio.to_thread(self._begin, loader)
        if led:
            begun = perf_counter()
            try:
                with _loading(led):
                    values = loader([load.key for load, _, _ in led])
                    if inspect.isawaitable(values):
                        values = await values
                answers.update(await asyncio.to_thread(_landed, led, values, perf_counter() - begun))
            except BaseException as error:  # noqa: BLE001
                answers.update(_crashed(led, error))
        for load in others:
            answers[load.key] = await load.arun(_aone(loader))
        return answers

    def _begin(self, loader: BatchLoader) -> tuple[dict[Key, Answer], list[_Led], list[Load]]:
        """What is there, what the caller is to load, and what others load."""
        answers: dict[Key, Answer] = {}
        led: list[_Led] = []
        others: list[Load] = []
        try:
            for load, (answer, stale) in zip(self.loads, self._find(), strict=True):
                if answer is not None:
                    answers[load.key] = answer
                    continue
                flight, leads = load.join()
                if leads and (answer := load.landed_before(flight)) is not None:
                    answers[load.key] = answer
                elif leads:
                    led.append(_Led(load, flight, stale))
                else:
                    others.append(load)
        except BaseException as error:
            for load, flight, _ in led:
                load.give_up(flight, error)
            raise
        for load in self.loads:
            if load.key in answers and answers[load.key].stale and not inspect.iscoroutinefunction(loader):
                load.renew(_one(loader))
        return answers, led, others

    def _find(self) -> list[tuple[Answer | None, Seen | None]]:
        if not self.loads:
            return []
        shared, namespace = self.loads[0].shared, self.loads[0].namespace
        now = shared.clock()
        found = shared.ladder.find_many([load.name for load in self.loads], namespace, now)
        return [load.judge(seen, stale, now) for load, (seen, stale) in zip(self.loads, found, strict=True)]


def _loading(led: Sequence[_Led]) -> AbstractContextManager[None]:
    shared = led[0].load.shared
    return shared.flights.loading([load.name for load, _, _ in led])


def _landed(led: Sequence[_Led], values: Any, took: float) -> dict[Key, Answer]:
    listed = _listed([load.key for load, _, _ in led], values)
    return {
        load.key: load.land(flight, value, took / len(led))
        for (load, flight, _), value in zip(led, listed, strict=True)
    }


def _crashed(led: Sequence[_Led], error: BaseException) -> dict[Key, Answer]:
    """What may stand in for what could not be loaded, if that is so of all keys."""
    answers: dict[Key, Answer] = {}
    failed = False
    for load, flight, stale in led:
        if flight.landed.done():
            continue
        load.give_up(flight, error)
        answer = load.stand_in(error, stale)
        if answer is None:
            failed = True
        else:
            answers[load.key] = answer
    if failed or not answers:
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
