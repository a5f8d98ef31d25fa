"""How a value is loaded that no tier has."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any, NamedTuple, TypeVar

from tiercel.cache.envelope import SECOND, unpack
from tiercel.cache.flights import Crashed, Flight, Landed, Unkept
from tiercel.cache.ladder import Seen
from tiercel.cache.large import tail
from tiercel.cache.namespaces import Namespace
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.terms import Terms
from tiercel.cache.tiers import Key
from tiercel.errors import DeadlineExceededError, InvalidInputError, RecursiveLoadError

__all__ = ["Load", "Loader", "held", "refuse_coroutine", "start", "unhurried"]

Loader = Callable[[Any], Any]
_Result = TypeVar("_Result")


class Load(NamedTuple):
    """A key that somebody wants."""

    shared: Shared
    namespace: Namespace
    key: Key
    name: bytes
    terms: Terms
    timeout: float
    """Seconds to wait for others that load the key."""

    def run(self, loader: Loader) -> Answer:
        """The value from a tier, or loaded by the caller or by another one who wants it."""
        answer, stale = self.find()
        if answer is not None:
            if answer.stale:
                self.renew(loader)
            return answer
        until, crashed = monotonic() + self.timeout, None
        while True:
            flight, leads = self.join(crashed)
            if leads:
                return self.landed_before(flight) or self._lead(flight, loader, stale)
            if not wait([flight.landed], max(0.0, until - monotonic())).done:
                return self._late(flight, stale)
            try:
                return self._landed(flight)
            except Crashed:
                crashed = flight

    async def arun(self, loader: Loader) -> Answer:
        """The same on an event loop; the loader may be a coroutine function."""
        answer, stale = await asyncio.to_thread(self.find)
        if answer is not None:
            if answer.stale:
                flight, leads = self.join()
                if leads:
                    held(asyncio.ensure_future(self._alead_quietly(flight, loader)))
            return answer
        until, crashed = monotonic() + self.timeout, None
        while True:
            flight, leads = self.join(crashed)
            if leads:
                return self.landed_before(flight) or await self._alead(flight, loader, stale)
            landed = asyncio.wrap_future(flight.landed)
            # Whoever goes before it lands does not look at what becomes of it.
            landed.add_done_callback(_looked_at)
            if not (await asyncio.wait([landed], timeout=max(0.0, until - monotonic())))[0]:
                return self._late(flight, stale)
            try:
                return self._landed(flight)
            except Crashed:
                crashed = flight

    def until(self, moment: float) -> "Load":
        """The same with a timeout that ends at a moment of the monotonic clock."""
        return self._replace(timeout=max(0.0, moment - monotonic()))

    def find(self) -> tuple[Answer | None, Seen | None]:
        """An answer, or else what may stand in for it. The key has been counted as asked for."""
        now = self.shared.clock()
        return self.judge(*self.shared.ladder.find(self.name, self.namespace, now), now)

    def judge(self, seen: Seen | None, stale: Seen | None, now: int) -> tuple[Answer | None, Seen | None]:
        """What was found as an answer, or else what may stand in for it."""
        if seen is not None and (answer := self.shared.open(seen)) is not None:
            return answer, None
        if stale is not None and now < stale.envelope.end + int(self.terms.stale * SECOND):
            answer = self.shared.open(stale, stale=True)
            if answer is not None:
                self.shared.notes.count("stale_served")
                return answer, None
        return None, stale

    def join(self, crashed: Flight | None = None) -> tuple[Flight, bool]:
        """The flight of the key, or the one that takes up the crashed one, and whether the caller leads it."""
        shared = self.shared
        new = shared.flight(self.namespace, self.name, self.terms.tags, is_second=crashed is not None)
        leads = False
        try:
            if crashed is None:
                flight, leads = shared.flights.join(new, self._may_join)
            else:
                flight, leads = shared.flights.take_up(crashed, new, self._may_join)
        finally:
            if not leads:
                shared.ladder.watches.end(new.watch)
        if not leads:
            shared.notes.count("waits")
        return flight, leads

    def landed_before(self, flight: Flight) -> Answer | None:
        """The value, if another flight landed since it was looked for."""
        shared = self.shared
        seen = shared.ladder.peek_nearby(self.name, self.namespace, shared.clock())
        answer = None if seen is None else shared.open(seen)
        if seen is not None and answer is not None:
            shared.flights.land(flight, seen.data)
            shared.ladder.watches.end(flight.watch)
        return answer

    def _may_join(self, flight: Flight) -> bool:
        """Whether what a flight brings will do. What it keeps must have the tags that the caller wants to invalidate it by."""
        return self._is_valid(flight) and set(self.terms.tags) <= set(flight.tags)

    def _is_valid(self, flight: Flight) -> bool:
        """Whether nothing was invalidated that the value of a flight belongs to."""
        return self.namespace.allows_load(flight.epoch, flight.turn, (*flight.tags, *self.terms.tags))

    def renew(self, loader: Loader) -> None:
        """Load a value anew, on a thread of its own, that was given though it is old, if nobody does."""
        flight, leads = self.join()
        if leads:
            start(lambda: self._lead_quietly(flight, loader), lambda error: self.give_up(flight, error))

    def _lead(self, flight: Flight, loader: Loader, stale: Seen | None) -> Answer:
        begun = perf_counter()
        try:
            with self.shared.flights.loading((flight,)):
                value = loader(self.key)
            refuse_coroutine(value, "aget_or_load")
        except BaseException as error:  # noqa: BLE001
            return self.crash(flight, error, stale)
        return self.land(flight, value, perf_counter() - begun)

    async def _alead(self, flight: Flight, loader: Loader, stale: Seen | None) -> Answer:
        begun = perf_counter()
        try:
            with self.shared.flights.loading((flight,)):
                value = loader(self.key)
                if inspect.isawaitable(value):
                    value = await value
        except BaseException as error:  # noqa: BLE001
            return self.crash(flight, error, stale)
        took = perf_counter() - begun
        # Whoever is cancelled now leaves it to the thread.
        return await unhurried(self.land, flight, value, took)

    def _lead_quietly(self, flight: Flight, loader: Loader) -> None:
        """Nobody waits for what comes of it: a failure is counted."""
        with suppress(Exception):
            self._lead(flight, loader, None)

    async def _alead_quietly(self, flight: Flight, loader: Loader) -> None:
        with suppress(Exception):
            await self._alead(flight, loader, None)

    def land(self, flight: Flight, value: Any, cost: float) -> Answer:
        """Keep what was loaded, unless it is outdated, and hand it out. Whatever keeps it from being kept, the callers get it."""
        shared = self.shared
        landed: Landed = Unkept(value)
        trouble: Exception | None = None
        try:
            landed = shared.seal(
                shared.codec.encode(value), self.terms, (flight.epoch, flight.turn), flight.begun, cost
            )
            self.namespace.begin()
            if self._is_valid(flight):
                shared.keep(self.name, landed, flight.watch)
        except Exception as error:  # noqa: BLE001 - codecs and tiers raise what they like
            trouble = error
        except BaseException as error:
            self.give_up(flight, error)
            raise
        # First nobody joins it any more, and then nobody asks whether it is outdated.
        shared.flights.land(flight, landed)
        shared.ladder.watches.end(flight.watch)
        shared.notes.count("loads")
        if trouble is not None:
            shared.notes.not_kept(self.namespace.name, value, trouble)
        return Answer(value, None, stale=False, age=cost)

    def crash(self, flight: Flight, error: BaseException, stale: Seen | None) -> Answer:
        """Hand out that it failed. Whoever has something that may stand in for it, gets that."""
        is_outdated = self.give_up(flight, error)
        answer = None if is_outdated else self.stand_in(error, stale)
        if answer is None:
            raise error
        return answer

    def give_up(self, flight: Flight, error: BaseException) -> bool:
        """Hand out that it failed; tells whether the key was written meanwhile."""
        is_outdated = flight.watch.crossed
        self.shared.flights.crash(flight, error)
        self.shared.ladder.watches.end(flight.watch)
        self.shared.notes.count("load_failures")
        return is_outdated

    def stand_in(self, error: BaseException, stale: Seen | None) -> Answer | None:
        """What is given in place of what could not be loaded. A mistake of the caller, or an interruption, is never covered up."""
        if isinstance(error, RecursiveLoadError | InvalidInputError) or not isinstance(error, Exception):
            return None
        now = self.shared.clock()
        if stale is None or not self.namespace.allows(stale.envelope) or not stale.envelope.is_kept(now):
            return None
        answer = self.shared.open(stale, stale=True)
        if answer is not None:
            self.shared.notes.count("stale_served")
        return answer

    def _landed(self, flight: Flight) -> Answer:
        data = flight.landed.result()
        if isinstance(data, Unkept):
            age = max(0, self.shared.clock() - flight.begun) / SECOND
            return Answer(data.value, None, stale=False, age=age)
        parsed = unpack(data)
        if parsed is None:
            raise AssertionError("a flight lands what was packed")
        envelope, start = parsed
        age = max(0, self.shared.clock() - envelope.written) / SECOND
        return Answer(self.shared.codec.decode(tail(data, start)), None, stale=False, age=age)

    def _late(self, flight: Flight, stale: Seen | None) -> Answer:
        """Whoever has waited long enough goes; the next one who wants the key loads it anew."""
        is_outdated = flight.watch.crossed
        self.shared.flights.abandon(flight)
        self.shared.notes.count("deadlines")
        error = DeadlineExceededError(
            f"timeout: expected the key {self.key!r} to be loaded by another caller within {self.timeout:g} s, got nothing"
        )
        answer = None if is_outdated else self.stand_in(error, stale)
        if answer is None:
            raise error
        return answer


# Tasks that nobody else holds: the event loop does not.
_TASKS: set[asyncio.Future[Any]] = set()


def held(task: asyncio.Future[_Result]) -> asyncio.Future[_Result]:
    """A task that runs to its end, whoever lets go of it."""
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    task.add_done_callback(_looked_at)
    return task


def _looked_at(task: asyncio.Future[Any]) -> None:
    """What nobody looks at is told on stderr."""
    if not task.cancelled():
        task.exception()


async def unhurried(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """The result of work on a thread, which is done whether or not the caller is cancelled."""
    return await asyncio.shield(held(asyncio.ensure_future(asyncio.to_thread(work, *arguments))))


def start(work: Callable[[], None], refused: Callable[[BaseException], object]) -> None:
    """Begin work on a thread of its own; tell if there is none to be had."""
    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        refused(error)


def refuse_coroutine(value: Any, instead: str) -> None:
    """A coroutine is no value."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            # One that is not run warns when it is dropped.
            value.close()
        raise InvalidInputError(f"loader: expected a plain function, got a coroutine: await {instead}")
