"""Loads a missing value. Written once for threads and event loops (see `execution.py`)."""

from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from tiercel._core import Finally
from tiercel.cache.arguments import refuse_used_up
from tiercel.cache.entry import Entry
from tiercel.cache.entry_options import EntryOptions
from tiercel.cache.envelope import SECOND, unpack
from tiercel.cache.execution import ON_THREAD, Execution, OnLoop, run_now
from tiercel.cache.keys import Key
from tiercel.cache.large import tail
from tiercel.cache.namespaces import Namespace
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.single_flight import HandedOver, Loaded, LoadFlight, Uncached
from tiercel.cache.waiting import loading, refuse_own
from tiercel.errors import DeadlineExceededError, InvalidInputError, RecursiveLoadError

__all__ = ["Load", "Loader"]

Loader = Callable[[Any], Any]


class Load(NamedTuple):
    """A request for a key that may have to be loaded."""

    shared: Shared
    namespace: Namespace
    key: Key
    name: bytes
    options: EntryOptions
    timeout: float
    """Seconds to wait for another caller that is loading the key."""

    def run(self, loader: Loader) -> Answer:
        """Return the value from a tier, or let this caller or another one load it."""
        answer, stale = self.find()
        # Without a coroutine, which would cost more than the rest of a hit.
        return run_now(self._load, loader, stale, ON_THREAD) if answer is None else self._hit(answer, loader, ON_THREAD)

    async def arun(self, loader: Loader) -> Answer:
        """Do the same on an event loop. The loader may be a coroutine function."""
        return await self.run_on(loader, OnLoop())

    async def run_on(self, loader: Loader, on: Execution) -> Answer:
        """Do the same in this execution."""
        answer, stale = await on.do(self.find)
        return await self._load(loader, stale, on) if answer is None else self._hit(answer, loader, on)

    def _hit(self, answer: Answer, loader: Loader, on: Execution) -> Answer:
        """Return a hit, and refresh it in the background if it is stale."""
        if self.needs_refresh(answer):
            on.refresh(self.shared.refresher, self.name, lambda: self._refresh(loader, on))
        return answer

    async def _load(self, loader: Loader, stale: Entry | None, on: Execution) -> Answer:
        """Load a missing value, or wait for another caller that does."""
        until, failed = monotonic() + self.timeout, None
        while True:
            new = self.flight(on, failed)
            with Finally(self.end, new):
                flight = self.join(new, failed)
                if flight is new:
                    return self.completed_before(new) or await self._lead(new, loader, stale, on)
            if not await on.wait(self.shared.single_flight, flight, until):
                return self._late(flight, stale)
            try:
                return self._completed(flight)
            except HandedOver:
                failed = flight

    def until(self, moment: float) -> "Load":
        """Return the same request with a timeout that ends at a time of the monotonic clock."""
        return self._replace(timeout=max(0.0, moment - monotonic()))

    def find(self) -> tuple[Answer | None, Entry | None]:
        """Return an answer from the tiers, or else a stale entry. The key must already be counted as requested."""
        now = self.shared.clock()
        return self.classify(*self.shared.lookup.find(self.name, self.namespace, now), now)

    def classify(self, entry: Entry | None, stale: Entry | None, now: int) -> tuple[Answer | None, Entry | None]:
        """Turn what was found into an answer, or else return the stale entry."""
        if entry is not None and (answer := self.shared.open(entry)) is not None:
            return answer, None
        if stale is not None and now < stale.envelope.end + int(self.options.stale * SECOND):
            answer = self.shared.open(stale, stale=True)
            if answer is not None:
                self.shared.counters.count("stale_served")
                return answer, None
        return None, stale

    def needs_refresh(self, answer: Answer) -> bool:
        """Whether to refresh the value: it is stale, and its last failure is long enough ago."""
        return answer.stale and not self.shared.backoff.is_pausing(self.name)

    def flight(self, on: Execution, failed: LoadFlight | None = None) -> LoadFlight:
        """Create a flight that starts now, or the successor of a failed one.

        The caller must end it, whether it leads or not.
        """
        flight = LoadFlight(
            self.key,
            self.name,
            self.namespace.version,
            self.shared.clock(),
            self.options.tags,
            is_retry=failed is not None,
        )
        if on.loop is not None:
            flight.belongs_to(on.loop)
        return flight

    def join(self, new: LoadFlight, failed: LoadFlight | None = None) -> LoadFlight:
        """Return the flight of the key, or the successor of the failed one.

        If it is the new one, the caller leads.
        """
        single_flight = self.shared.single_flight
        if failed is None:
            refuse_own(single_flight, self.name)
            flight = single_flight.join(new, self._may_join)
        else:
            flight = single_flight.take_over(failed, new, self._may_join)
        if flight is not new:
            self.shared.counters.count("waits")
        return flight

    def begin_refresh(self, new: LoadFlight) -> bool:
        """Lead the refresh of a stale value. Return False if it is done, or if another caller leads it."""
        single_flight = self.shared.single_flight
        if single_flight.join(new, self._may_leave_it) is not new:
            return False
        if self.shared.backoff.is_pausing(self.name):
            # Another refresh has failed while this one was queued.
            single_flight.fail(new, HandedOver())
            return False
        new.refreshes = True
        return self.completed_before(new) is None

    def end(self, flight: LoadFlight) -> None:
        """End a flight that the caller leaves, unless a thread completes it."""
        if not flight.is_completing and self.shared.single_flight.end(flight) and flight.table is not None:
            self.shared.counters.count("load_failures")

    def completed_before(self, flight: LoadFlight) -> Answer | None:
        """Return the value if another flight has completed since the tiers were read."""
        shared = self.shared
        entry = shared.lookup.peek_local(self.name, self.namespace, shared.clock())
        answer = None if entry is None else shared.open(entry)
        if entry is not None and answer is not None:
            shared.single_flight.complete(flight, entry.data)
        return answer

    def _may_join(self, flight: LoadFlight) -> bool:
        """Whether the caller may use the result of a flight.

        It must have all tags of the caller.
        """
        return self._is_valid(flight) and set(self.options.tags) <= set(flight.tags)

    def _may_leave_it(self, flight: LoadFlight) -> bool:
        """Whether a refresh may rely on a flight.

        One that takes longer than a caller would wait may never complete.
        """
        return self._may_join(flight) and monotonic() - flight.started <= self.timeout

    def _is_valid(self, flight: LoadFlight) -> bool:
        """Whether neither the namespace nor a tag was invalidated since a flight began."""
        return self.namespace.is_load_valid(flight.epoch, flight.turn, (*flight.tags, *self.options.tags))

    async def _refresh(self, loader: Loader, on: Execution) -> None:
        """Reload a stale value, unless another caller is doing so.

        Nobody waits for the result; a failure is counted.
        """
        new = self.flight(on)
        with Finally(self.end, new):
            if self.begin_refresh(new):
                await self._lead(new, loader, None, on)

    async def _lead(self, flight: LoadFlight, loader: Loader, stale: Entry | None, on: Execution) -> Answer:
        begun = perf_counter()
        try:
            with loading((flight,)):
                value = await on.value(loader(self.key), "aget_or_load")
            refuse_used_up(value, "loader", "return", self.key)
        except BaseException as error:  # noqa: BLE001
            return self.fail(flight, error, stale)
        return await on.complete((flight,), self._complete, flight, value, perf_counter() - begun)

    def _complete(self, flight: LoadFlight, value: Any, cost: float) -> Answer:
        """Store what was loaded. The event loop may be closed meanwhile, or have abandoned the flight."""
        with Finally(self.end_completed, flight):
            return self.complete(flight, value, cost)

    def end_completed(self, flight: LoadFlight) -> None:
        """End a flight, whether or not its value could be stored."""
        flight.is_completing = False
        self.end(flight)

    def complete(self, flight: LoadFlight, value: Any, cost: float) -> Answer:
        """Cache what was loaded, unless it is outdated, and end the flight.

        The callers get the value in any case.
        """
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
        except Exception as error:  # noqa: BLE001 - codecs and tiers may raise anything
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

    def fail(self, flight: LoadFlight, error: BaseException, stale: Entry | None) -> Answer:
        """End a flight with an error.

        Return the stale value if fail-safe allows that, or raise the error.
        """
        is_outdated = self.give_up(flight, error)
        answer = None if is_outdated else self.fail_safe_answer(error, stale)
        if answer is None:
            raise error
        return answer

    def give_up(self, flight: LoadFlight, error: BaseException) -> bool:
        """End a flight with an error. Return whether the key was written meanwhile."""
        is_outdated = flight.lease.revoked
        if flight.refreshes:
            # This must happen before the next refresh can begin.
            self.shared.backoff.failed(self.name)
        self.shared.single_flight.fail(flight, error)
        self.shared.counters.count("load_failures")
        return is_outdated

    def fail_safe_answer(self, error: BaseException, stale: Entry | None) -> Answer | None:
        """Return the stale value for a failed load if fail-safe allows that, otherwise None.

        It never hides errors of the caller, or interruptions.
        """
        if isinstance(error, RecursiveLoadError | InvalidInputError) or not isinstance(error, Exception):
            return None
        now = self.shared.clock()
        if stale is None or not self.namespace.is_valid(stale.envelope) or not stale.envelope.is_kept(now):
            return None
        answer = self.shared.open(stale, stale=True)
        if answer is not None:
            self.shared.counters.count("stale_served")
        return answer

    def _completed(self, flight: LoadFlight) -> Answer:
        data = flight.result()
        if isinstance(data, Uncached):
            age = max(0, self.shared.clock() - flight.begun) / SECOND
            return Answer(data.value, None, stale=False, age=age)
        parsed = unpack(data)
        if parsed is None:
            raise AssertionError("the result of a flight has no envelope")
        envelope, start = parsed
        age = max(0, self.shared.clock() - envelope.written) / SECOND
        return Answer(self.shared.codec.decode(tail(data, start)), None, stale=False, age=age)

    def _late(self, flight: LoadFlight, stale: Entry | None) -> Answer:
        """Stop waiting after the timeout. The next caller of the key loads it again."""
        is_outdated = flight.lease.revoked
        self.shared.single_flight.remove(flight)
        self.shared.counters.count("deadlines")
        error = DeadlineExceededError(
            f"timeout: expected the key {self.key!r} to be loaded by another caller within {self.timeout:g} s, got nothing"
        )
        answer = None if is_outdated else self.fail_safe_answer(error, stale)
        if answer is None:
            raise error
        return answer
