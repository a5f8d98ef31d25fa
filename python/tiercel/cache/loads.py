"""How a value is loaded that no tier has."""

import asyncio
import inspect
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from tiercel._core import Finally
from tiercel.cache.arguments import refuse_coroutine, refuse_used_up
from tiercel.cache.entry import Entry
from tiercel.cache.entry_options import EntryOptions
from tiercel.cache.envelope import SECOND, unpack
from tiercel.cache.large import tail
from tiercel.cache.namespaces import Namespace
from tiercel.cache.pool import in_thread
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.single_flight import Flight, HandedOver, Loaded, Uncached
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
    options: EntryOptions
    timeout: float
    """Seconds to wait for others that load the key."""

    def run(self, loader: Loader) -> Answer:
        """The value from a tier, or loaded by the caller or by another one who wants it."""
        answer, stale = self.find()
        if answer is not None:
            if self.needs_refresh(answer):
                self.shared.refresher.add(self.name, lambda: self._refresh(loader))
            return answer
        until, failed = monotonic() + self.timeout, None
        while True:
            new = self.flight(failed)
            with Finally(self.end, new):
                flight = self.join(new, failed)
                if flight is new:
                    return self.completed_before(new) or self._lead(new, loader, stale)
            if not wait_for_flight(self.shared.single_flight, flight, until):
                return self._late(flight, stale)
            try:
                return self._completed(flight)
            except HandedOver:
                failed = flight

    async def arun(self, loader: Loader) -> Answer:
        """The same on an event loop; the loader may be a coroutine function."""
        answer, stale = await in_thread(self.find)
        if answer is not None:
            if self.needs_refresh(answer):
                self.shared.refresher.aadd(self.name, lambda: self._arefresh(loader))
            return answer
        until, failed = monotonic() + self.timeout, None
        while True:
            new = self.flight(failed)
            new.belongs_to(asyncio.get_running_loop())
            with Finally(self.end, new):
                flight = self.join(new, failed)
                if flight is new:
                    return self.completed_before(new) or await self._alead(new, loader, stale)
            if not await await_flight(self.shared.single_flight, flight, until):
                return self._late(flight, stale)
            try:
                return self._completed(flight)
            except HandedOver:
                failed = flight

    def until(self, moment: float) -> "Load":
        """The same with a timeout that ends at a moment of the monotonic clock."""
        return self._replace(timeout=max(0.0, moment - monotonic()))

    def find(self) -> tuple[Answer | None, Entry | None]:
        """An answer, or else what may stand in for it. The key has been counted as asked for."""
        now = self.shared.clock()
        return self.classify(*self.shared.lookup.find(self.name, self.namespace, now), now)

    def classify(self, entry: Entry | None, stale: Entry | None, now: int) -> tuple[Answer | None, Entry | None]:
        """What was found as an answer, or else what may stand in for it."""
        if entry is not None and (answer := self.shared.open(entry)) is not None:
            return answer, None
        if stale is not None and now < stale.envelope.end + int(self.options.stale * SECOND):
            answer = self.shared.open(stale, stale=True)
            if answer is not None:
                self.shared.counters.count("stale_served")
                return answer, None
        return None, stale

    def needs_refresh(self, answer: Answer) -> bool:
        """Whether the key is to be loaded anew, which is not tried again soon after it failed."""
        return answer.stale and not self.shared.backoff.is_pausing(self.name)

    def flight(self, failed: Flight | None = None) -> Flight:
        """A flight that begins now, or one that takes up the failed one. Whoever has it ends it, whether it leads to anything or not."""
        shared = self.shared
        return Flight(
            self.key, self.name, self.namespace.version, shared.clock(), self.options.tags, is_retry=failed is not None
        )

    def join(self, new: Flight, failed: Flight | None = None) -> Flight:
        """The flight of the key, or the one that takes up the failed one: the new one, if the caller leads it."""
        single_flight = self.shared.single_flight
        if failed is None:
            refuse_own(single_flight, self.name)
            flight = single_flight.join(new, self._may_join)
        else:
            flight = single_flight.take_over(failed, new, self._may_join)
        if flight is not new:
            self.shared.counters.count("waits")
        return flight

    def begin_refresh(self, new: Flight) -> bool:
        """Lead the flight of a key whose value is past its time; False if that is done, or somebody else does it."""
        single_flight = self.shared.single_flight
        if single_flight.join(new, self._may_leave_it) is not new:
            return False
        if self.shared.backoff.is_pausing(self.name):
            # Another one has failed while this one waited for its turn.
            single_flight.fail(new, HandedOver())
            return False
        new.refreshes = True
        return self.completed_before(new) is None

    def end(self, flight: Flight) -> None:
        """Nobody leads a flight any more."""
        if not flight.is_completing and self.shared.single_flight.end(flight) and flight.table is not None:
            self.shared.counters.count("load_failures")

    def completed_before(self, flight: Flight) -> Answer | None:
        """The value, if another flight loaded since it was looked for."""
        shared = self.shared
        entry = shared.lookup.peek_local(self.name, self.namespace, shared.clock())
        answer = None if entry is None else shared.open(entry)
        if entry is not None and answer is not None:
            shared.single_flight.complete(flight, entry.data)
        return answer

    def _may_join(self, flight: Flight) -> bool:
        """Whether what a flight brings will do. What it keeps must have the tags that the caller wants to invalidate it by."""
        return self._is_valid(flight) and set(self.options.tags) <= set(flight.tags)

    def _may_leave_it(self, flight: Flight) -> bool:
        """The same of one that nobody waits for: one that takes longer than anybody would wait may never land."""
        return self._may_join(flight) and monotonic() - flight.started <= self.timeout

    def _is_valid(self, flight: Flight) -> bool:
        """Whether nothing was invalidated that the value of a flight belongs to."""
        return self.namespace.is_load_valid(flight.epoch, flight.turn, (*flight.tags, *self.options.tags))

    def _refresh(self, loader: Loader) -> None:
        """Load a value anew that was given though it is old, if nobody does. Nobody waits for what comes of it: a failure is counted."""
        new = self.flight()
        with Finally(self.end, new):
            if self.begin_refresh(new):
                self._lead(new, loader, None)

    async def _arefresh(self, loader: Loader) -> None:
        new = self.flight()
        new.belongs_to(asyncio.get_running_loop())
        with Finally(self.end, new):
            if self.begin_refresh(new):
                await self._alead(new, loader, None)

    def _lead(self, flight: Flight, loader: Loader, stale: Entry | None) -> Answer:
        begun = perf_counter()
        try:
            with loading((flight,)):
                value = loader(self.key)
            refuse_coroutine(value, "aget_or_load")
            refuse_used_up(value, "loader", "return", self.key)
        except BaseException as error:  # noqa: BLE001
            return self.fail(flight, error, stale)
        return self.complete(flight, value, perf_counter() - begun)

    async def _alead(self, flight: Flight, loader: Loader, stale: Entry | None) -> Answer:
        begun = perf_counter()
        try:
            with loading((flight,)):
                value = loader(self.key)
                if inspect.isawaitable(value):
                    value = await value
            refuse_used_up(value, "loader", "return", self.key)
        except BaseException as error:  # noqa: BLE001
            return self.fail(flight, error, stale)
        completing = in_thread(self._complete_in_thread, flight, value, perf_counter() - begun)
        # Whoever is cancelled now leaves it to the thread.
        flight.is_completing = True
        return await completing

    def _complete_in_thread(self, flight: Flight, value: Any, cost: float) -> Answer:
        """Keep what was loaded on an event loop, which may be closed or have let go of the flight meanwhile."""
        with Finally(self.completed_in_thread, flight):
            return self.complete(flight, value, cost)

    def completed_in_thread(self, flight: Flight) -> None:
        """A thread has done all that it was to do for a flight."""
        flight.is_completing = False
        self.end(flight)

    def complete(self, flight: Flight, value: Any, cost: float) -> Answer:
        """Keep what was loaded, unless it is outdated, and hand it out. Whatever keeps it from being kept, the callers get it."""
        shared = self.shared
        loaded: Loaded = Uncached(value)
        trouble: Exception | None = None
        try:
            loaded = shared.seal(
                shared.codec.encode(value), self.options, (flight.epoch, flight.turn), flight.begun, cost
            )
            self.namespace.ensure_record()
            if self._is_valid(flight):
                shared.keep(self.name, loaded, flight.lease)
        except Exception as error:  # noqa: BLE001 - codecs and tiers raise what they like
            trouble = error
        except BaseException as error:
            self.give_up(flight, error)
            raise
        shared.backoff.succeeded(self.name)
        shared.single_flight.complete(flight, loaded)
        shared.counters.count("loads")
        if trouble is not None:
            shared.counters.not_kept(self.namespace.name, value, trouble)
        return Answer(value, None, stale=False, age=cost)

    def fail(self, flight: Flight, error: BaseException, stale: Entry | None) -> Answer:
        """Hand out that it failed. Whoever has something that may stand in for it, gets that."""
        is_outdated = self.give_up(flight, error)
        answer = None if is_outdated else self.fail_safe_answer(error, stale)
        if answer is None:
            raise error
        return answer

    def give_up(self, flight: Flight, error: BaseException) -> bool:
        """Hand out that it failed; tells whether the key was written meanwhile."""
        is_outdated = flight.lease.revoked
        if flight.refreshes:
            # Before the next one can begin.
            self.shared.backoff.failed(self.name)
        self.shared.single_flight.fail(flight, error)
        self.shared.counters.count("load_failures")
        return is_outdated

    def fail_safe_answer(self, error: BaseException, stale: Entry | None) -> Answer | None:
        """What is given in place of what could not be loaded. A mistake of the caller, or an interruption, is never covered up."""
        if isinstance(error, RecursiveLoadError | InvalidInputError) or not isinstance(error, Exception):
            return None
        now = self.shared.clock()
        if stale is None or not self.namespace.is_valid(stale.envelope) or not stale.envelope.is_kept(now):
            return None
        answer = self.shared.open(stale, stale=True)
        if answer is not None:
            self.shared.counters.count("stale_served")
        return answer

    def _completed(self, flight: Flight) -> Answer:
        data = flight.result()
        if isinstance(data, Uncached):
            age = max(0, self.shared.clock() - flight.begun) / SECOND
            return Answer(data.value, None, stale=False, age=age)
        parsed = unpack(data)
        if parsed is None:
            raise AssertionError("a flight lands what was packed")
        envelope, start = parsed
        age = max(0, self.shared.clock() - envelope.written) / SECOND
        return Answer(self.shared.codec.decode(tail(data, start)), None, stale=False, age=age)

    def _late(self, flight: Flight, stale: Entry | None) -> Answer:
        """Whoever has waited long enough goes; the next one who wants the key loads it anew."""
        is_outdated = flight.lease.revoked
        self.shared.single_flight.abandon(flight)
        self.shared.counters.count("deadlines")
        error = DeadlineExceededError(
            f"timeout: expected the key {self.key!r} to be loaded by another caller within {self.timeout:g} s, got nothing"
        )
        answer = None if is_outdated else self.fail_safe_answer(error, stale)
        if answer is None:
            raise error
        return answer
