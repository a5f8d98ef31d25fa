"""Remote calls: on separate threads, with timeouts, and behind a circuit breaker."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from tiercel._core import Finally
from tiercel.cache.pool import Pool
from tiercel.gate import Gate

__all__ = ["THREADS", "Breaker", "BreakerState", "Call", "Guard", "UnansweredError"]

BreakerState: TypeAlias = Literal["closed", "open", "trial"]
T = TypeVar("T")

# The most concurrent calls. Others wait.
THREADS = 8
# Consecutive failures that open the breaker, and seconds until a trial.
FAILURES = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Breaker:
    """A circuit breaker. The owner's lock guards it.

    ```text
              5 consecutive failures         the pause is over
      closed ---------------------> open -----------------------> trial, one call
        ^                            ^                              |  |
        |                            +------ failed: the pause -----+  |
        +----------- answered ---------------   doubles  --------------+
    ```
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_a_row = 0
        self._pause = FIRST_PAUSE
        self._until = 0.0
        # Grows with every change of state, so that calls from before a change do not count.
        self._round: int = 0
        self.state: BreakerState = "closed"

    def admit(self) -> int | None:
        """Return a ticket for one call, or None if no call may be made now."""
        if self.state == "open" and self._clock() >= self._until:
            self.state = "trial"
        elif self.state != "closed":
            return None
        return self._round

    def record(self, ticket: int, *, answered: bool) -> None:
        """Record the outcome of a call."""
        if ticket != self._round:
            return
        if answered:
            self._in_a_row = 0
            if self.state == "trial":
                self.state, self._pause = "closed", FIRST_PAUSE
                self._round += 1
            return
        self._in_a_row += 1
        if self.state == "trial" or self._in_a_row >= FAILURES:
            self._until = self._clock() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self.state, self._in_a_row = "open", 0
            self._round += 1


class UnansweredError(Exception):
    """A call failed, or timed out."""


class Call(Generic[T]):
    """A call: its progress and its result."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work: Callable[[], T] | None = work
        self.answer: T | None = None
        self.state: Literal["waiting", "running", "answered", "failed", "never"] = "waiting"
        # Whether nobody waits for the call any more.
        self.abandoned = False
        self.ticket: int | None = None
        self.begun = 0.0
        self.over = Gate()

    @property
    def underway(self) -> bool:
        """Whether the call was abandoned while it ran, so that it may still take effect."""
        return self.abandoned and self.state == "running"

    def answered(self) -> T:
        """Return the result, or raise `UnansweredError`."""
        if self.state != "answered":
            raise UnansweredError
        return cast("T", self.answer)


class Guard:
    """Makes calls, and counts failures.

    Parameters
    ----------
    soft, hard : float
        Seconds that a caller waits, and seconds after which a call counts as failed although it may
        still run.
    clock : callable
        Returns the seconds of a monotonic clock, for the hard timeout and the pauses of the breaker.
    """

    def __init__(self, soft: float, hard: float, clock: Callable[[], float]) -> None:
        self._soft = soft
        self._hard = hard
        self._clock = clock
        self._lock = threading.Lock()
        self._breaker = Breaker(clock)
        self._pool = Pool(THREADS, "tiercel outside")
        self._running: set[Call[Any]] = set()
        # Whether all calls are refused.
        self.refuses = False
        self.failures = 0
        self.timeouts = 0
        self.error: str | None = None

    @property
    def breaker(self) -> BreakerState:
        """The state of the circuit breaker."""
        return self._breaker.state

    def ask(self, *works: Callable[[], T], patient: bool = False) -> list[Call[T]]:
        """Make concurrent calls, and wait for all of them together.

        Wait up to the soft timeout or, if `patient`, the hard one.
        """
        calls = [Call(work) for work in works]
        until = time.monotonic() + (self._hard if patient else self._soft)
        with Finally(self._abandon_all, calls):
            for call in calls:
                self._begin(call)
            for call in calls:
                call.over.wait(until - time.monotonic())
        return calls

    def patiently(self, work: Callable[[], T]) -> T:
        """Return the result of a call within the hard timeout, or raise `UnansweredError`."""
        return self.ask(work, patient=True)[0].answered()

    def send(self, work: Callable[[], object]) -> bool:
        """Make a call in the background. Return False if no call may be made now."""
        call = Call(work)
        call.abandoned = True
        self._begin(call)
        return call.state != "never"

    def _begin(self, call: Call[T]) -> None:
        with self._lock:
            self._count_overdue()
            # Threads with abandoned calls may hang forever. If all threads do, no call can run.
            hanging = sum(each.abandoned for each in self._running)
            call.ticket = None if self.refuses or hanging >= THREADS else self._breaker.admit()
            if call.ticket is None:
                self._give_up(call)
                return
        self._pool.submit(lambda: self._run(call))

    def _run(self, call: Call[T]) -> None:
        with self._lock:
            work, call.work = call.work, None
            if work is None:
                return
            call.state, call.begun = "running", self._clock()
            self._running.add(call)
        error: BaseException | None = None
        answer: T | None = None
        try:
            answer = work()
        except BaseException as raised:  # noqa: BLE001 - a Rust panic is no Exception, and must not end the thread
            error = raised
        with self._lock:
            self._running.discard(call)
            call.answer, call.state = answer, "failed" if error else "answered"
            if error:
                self.error = f"{type(error).__name__}: {error}"
                self.failures += not call.abandoned
            self._record(call, answered=not error)
        call.over.open()

    def _abandon_all(self, calls: Sequence[Call[T]]) -> None:
        with self._lock:
            for call in calls:
                self._abandon(call)

    def _abandon(self, call: Call[T]) -> None:
        if call.state == "running" and not call.abandoned:
            call.abandoned = True
            self.timeouts += 1
            self.failures += 1
        elif call.state == "waiting":
            # All threads are busy. That is no remote failure, unless this call was the trial of the
            # breaker.
            if self._breaker.state == "trial":
                self._record(call, answered=False)
            self._give_up(call)

    def _give_up(self, call: Call[T]) -> None:
        call.state, call.work = "never", None
        self.failures += 1
        call.over.open()

    def _count_overdue(self) -> None:
        for call in self._running:
            if self._clock() - call.begun >= self._hard:
                self._record(call, answered=False)

    def _record(self, call: Call[T], *, answered: bool) -> None:
        """Report the outcome to the breaker once.

        A call that exceeds the hard timeout has failed, even if it still returns.
        """
        if call.ticket is not None:
            self._breaker.record(call.ticket, answered=answered)
            call.ticket = None
