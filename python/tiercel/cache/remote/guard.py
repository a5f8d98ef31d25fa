"""Calls to what is outside: in threads of their own, waited for so long and no longer, and not made while nothing answers."""

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

# Calls at a time; more of them wait.
THREADS = 8
# Failures in a row that open the breaker, and seconds until a trial.
FAILURES = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Breaker:
    """Tells whether a call is worth making. Guarded by the lock of who uses it.

    ```text
              5 failures in a row             the pause is over
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
        # Goes up with every change, so that a call that began before it tells nothing of what is now.
        self._round: int = 0
        self.state: BreakerState = "closed"

    def admit(self) -> int | None:
        """A ticket for one call; None if none may be made now."""
        if self.state == "open" and self._clock() >= self._until:
            self.state = "trial"
        elif self.state != "closed":
            return None
        return self._round

    def record(self, ticket: int, *, answered: bool) -> None:
        """How a call ended."""
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
    """A call came to nothing."""


class Call(Generic[T]):
    """One call: how far it is, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work: Callable[[], T] | None = work
        self.answer: T | None = None
        self.state: Literal["waiting", "running", "answered", "failed", "never"] = "waiting"
        # Nobody waits for it any more.
        self.abandoned = False
        self.ticket: int | None = None
        self.begun = 0.0
        self.over = Gate()

    @property
    def underway(self) -> bool:
        """Whether it was left while it ran: what it does may be done yet."""
        return self.abandoned and self.state == "running"

    def answered(self) -> T:
        """What came of it; `UnansweredError` if that is nothing."""
        if self.state != "answered":
            raise UnansweredError
        return cast("T", self.answer)


class Guard:
    """Makes calls, and counts those that came to nothing.

    Parameters
    ----------
    soft, hard : float
        Seconds that a caller waits, and after which a call counts as failed though it may still run.
    clock : callable
        Seconds of a clock that only goes forward, for the hard limit and the pauses of the breaker.
    """

    def __init__(self, soft: float, hard: float, clock: Callable[[], float]) -> None:
        self._soft = soft
        self._hard = hard
        self._clock = clock
        self._lock = threading.Lock()
        self._breaker = Breaker(clock)
        self._pool = Pool(THREADS, "tiercel outside")
        self._running: set[Call[Any]] = set()
        # Whether no call may be made at all.
        self.refuses = False
        self.failures = 0
        self.timeouts = 0
        self.error: str | None = None

    @property
    def breaker(self) -> BreakerState:
        """The state of the breaker."""
        return self._breaker.state

    def ask(self, *works: Callable[[], T], patient: bool = False) -> list[Call[T]]:
        """Make calls at the same time, and wait for all of them for the soft limit in total; or, patiently, for the hard one."""
        calls = [Call(work) for work in works]
        until = time.monotonic() + (self._hard if patient else self._soft)
        with Finally(self._abandon_all, calls):
            for call in calls:
                self._begin(call)
            for call in calls:
                call.over.wait(until - time.monotonic())
        return calls

    def patiently(self, work: Callable[[], T]) -> T:
        """The answer of a call that is waited for up to the hard limit; `UnansweredError` without one."""
        return self.ask(work, patient=True)[0].answered()

    def send(self, work: Callable[[], object]) -> bool:
        """Make a call that nobody waits for, some time; False if none may be made."""
        call = Call(work)
        call.abandoned = True
        self._begin(call)
        return call.state != "never"

    def _begin(self, call: Call[T]) -> None:
        with self._lock:
            self._count_overdue()
            # A thread that runs what was left may never come back: when all do, waiting for one is in vain.
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
        except BaseException as raised:  # noqa: BLE001 - a panic of Rust is none of Exception, and must not end the thread either
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
            # All threads are busy: no failure of what is outside, unless it was to show that it answers again.
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
        """Once a call: what runs on after the hard limit has failed, whatever comes of it."""
        if call.ticket is not None:
            self._breaker.record(call.ticket, answered=answered)
            call.ticket = None
