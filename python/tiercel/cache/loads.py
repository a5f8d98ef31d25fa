"""How a value is loaded that no tier has."""

import asyncio
import inspect
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from tiercel._core import Finally
from tiercel.cache.envelope import SECOND, unpack
from tiercel.cache.flights import Crashed, Flight, Landed, Unkept
from tiercel.cache.given import refuse_coroutine, refuse_used_up
from tiercel.cache.large import tail
from tiercel.cache.namespaces import Namespace
from tiercel.cache.pool import apart
from tiercel.cache.seen import Seen
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.terms import Terms
from tiercel.cache.tiers import Key
from tiercel.cache.waiting import await_flight, loading, refuse_own, wait_for_flight
from tiercel.errors import DeadlineExceededError, InvalidInputError, RecursiveLoadError

__all__ = ["Load", "Loader"]

Loader = Callable[[Any], Any]


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
            if self.is_due(answer):
                self.shared.renewals.add(self.name, lambda: self._renew(loader))
            return answer
        until, crashed = monotonic() + self.timeout, None
        while True:
            new = self.flight(crashed)
            with Finally(self.end, new):
                flight = self.join(new, crashed)
                if flight is new:
                    return self.landed_before(new) or self._lead(new, loader, stale)
            if not wait_for_flight(self.shared.flights, flight, until):
                return self._late(flight, stale)
            try:
                return self._landed(flight)
            except Crashed:
                crashed = flight

    async def arun(self, loader: Loader) -> Answer:
        """The same on an event loop; the loader may be a coroutine function."""
        answer, stale = await apart(self.find)
        if answer is not None:
            if self.is_due(answer):
                self.shared.renewals.aadd(self.name, lambda: self._arenew(loader))
            return answer
        until, crashed = monotonic() + self.timeout, None
        while True:
            new = self.flight(crashed)
            new.belongs_to(asyncio.get_running_loop())
            with Finally(self.end, new):
                flight = self.join(new, crashed)
                if flight is new:
                    return self.landed_before(new) or await self._alead(new, loader, stale)
            if not await await_flight(self.shared.flights, flight, until):
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
        return self.judge(*self.shared.lookup.find(self.name, self.namespace, now), now)

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

    def is_due(self, answer: Answer) -> bool:
        """Whether the key is to be loaded anew, which is not tried again soon after it failed."""
        return answer.stale and not self.shared.pauses.rests(self.name)

    def flight(self, crashed: Flight | None = None) -> Flight:
        """A flight that begins now, or one that takes up the crashed one. Whoever has it ends it, whether it leads to anything or not."""
        shared = self.shared
        return Flight(
            self.key, self.name, self.namespace.stamp, shared.clock(), self.terms.tags, is_second=crashed is not None
        )

    def join(self, new: Flight, crashed: Flight | None = None) -> Flight:
        """The flight of the key, or the one that takes up the crashed one: the new one, if the caller leads it."""
        flights = self.shared.flights
        if crashed is None:
            refuse_own(flights, self.name)
            flight = flights.join(new, self._may_join)
        else:
            flight = flights.take_up(crashed, new, self._may_join)
        if flight is not new:
            self.shared.notes.count("waits")
        return flight

    def begin_anew(self, new: Flight) -> bool:
        """Lead the flight of a key whose value is past its time; False if that is done, or somebody else does it."""
        flights = self.shared.flights
        if flights.join(new, self._may_leave_it) is not new:
            return False
        if self.shared.pauses.rests(self.name):
            # Another one has failed while this one waited for its turn.
            flights.crash(new, Crashed())
            return False
        new.renews = True
        return self.landed_before(new) is None

    def end(self, flight: Flight) -> None:
        """Nobody leads a flight any more."""
        if not flight.is_landing and self.shared.flights.end(flight) and flight.table is not None:
            self.shared.notes.count("load_failures")

    def landed_before(self, flight: Flight) -> Answer | None:
        """The value, if another flight landed since it was looked for."""
        shared = self.shared
        seen = shared.lookup.peek_nearby(self.name, self.namespace, shared.clock())
        answer = None if seen is None else shared.open(seen)
        if seen is not None and answer is not None:
            shared.flights.land(flight, seen.data)
        return answer

    def _may_join(self, flight: Flight) -> bool:
        """Whether what a flight brings will do. What it keeps must have the tags that the caller wants to invalidate it by."""
        return self._is_valid(flight) and set(self.terms.tags) <= set(flight.tags)

    def _may_leave_it(self, flight: Flight) -> bool:
        """The same of one that nobody waits for: one that takes longer than anybody would wait may never land."""
        return self._may_join(flight) and monotonic() - flight.born <= self.timeout

    def _is_valid(self, flight: Flight) -> bool:
        """Whether nothing was invalidated that the value of a flight belongs to."""
        return self.namespace.allows_load(flight.epoch, flight.turn, (*flight.tags, *self.terms.tags))

    def _renew(self, loader: Loader) -> None:
        """Load a value anew that was given though it is old, if nobody does. Nobody waits for what comes of it: a failure is counted."""
        new = self.flight()
        with Finally(self.end, new):
            if self.begin_anew(new):
                self._lead(new, loader, None)

    async def _arenew(self, loader: Loader) -> None:
        new = self.flight()
        new.belongs_to(asyncio.get_running_loop())
        with Finally(self.end, new):
            if self.begin_anew(new):
                await self._alead(new, loader, None)

    def _lead(self, flight: Flight, loader: Loader, stale: Seen | None) -> Answer:
        begun = perf_counter()
        try:
            with loading((flight,)):
                value = loader(self.key)
            refuse_coroutine(value, "aget_or_load")
            refuse_used_up(value, "loader", "return", self.key)
        except BaseException as error:  # noqa: BLE001
            return self.crash(flight, error, stale)
        return self.land(flight, value, perf_counter() - begun)

    async def _alead(self, flight: Flight, loader: Loader, stale: Seen | None) -> Answer:
        begun = perf_counter()
        try:
            with loading((flight,)):
                value = loader(self.key)
                if inspect.isawaitable(value):
                    value = await value
            refuse_used_up(value, "loader", "return", self.key)
        except BaseException as error:  # noqa: BLE001
            return self.crash(flight, error, stale)
        landing = apart(self._land_apart, flight, value, perf_counter() - begun)
        # Whoever is cancelled now leaves it to the thread.
        flight.is_landing = True
        return await landing

    def _land_apart(self, flight: Flight, value: Any, cost: float) -> Answer:
        """Keep what was loaded on an event loop, which may be closed or have let go of the flight meanwhile."""
        with Finally(self.landed_apart, flight):
            return self.land(flight, value, cost)

    def landed_apart(self, flight: Flight) -> None:
        """A thread has done all that it was to do for a flight."""
        flight.is_landing = False
        self.end(flight)

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
        shared.pauses.end(self.name)
        shared.flights.land(flight, landed)
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
        if flight.renews:
            # Before the next one can begin.
            self.shared.pauses.begin(self.name)
        self.shared.flights.crash(flight, error)
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
        data = flight.result()
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
