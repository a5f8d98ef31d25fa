"""What lies outside of the process, for tests of the tiers there: an object that fails as it is told."""

import random
import threading
from collections.abc import Callable
from typing import Any

from tiercel.cache import Outside, Wrapped

# No test waits for it: it is there so that no slow machine loses a call.
LONG = 60.0
# Seconds of the soft limit where a call is to hang.
SHORT = 0.02


class Failure(Exception):
    """What the outside raises."""


class Shelf:
    """Contents by name, in memory. `mode` says what comes of calls:

    "works", "fails" (and does nothing), "loses" (does it, and fails), "late" (fails, and does it when `land` is called), "hangs" (until
    `release` is called, then does it), "damages" (reads: flips a bit), "mixes up" (reads: gives another's), "forgets" (reads: nothing there).
    """

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.mode = "works"
        self.calls: list[tuple[str, str]] = []
        self.pending: list[Callable[[], Any]] = []
        self.random = random.Random(7)
        self._gate = threading.Event()
        self.hanging = threading.Semaphore(0)

    def get(self, name: str) -> Any:
        return self._call("get", name, lambda: self._read(name))

    def put(self, name: str, content: bytes) -> None:
        self._call("put", name, lambda: self.rows.__setitem__(name, content))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: self.rows.pop(name))

    def keys(self) -> list[str]:
        return self._call("keys", "", lambda: list(self.rows))

    def land(self) -> None:
        """Something that was late is done, whatever came since."""
        if self.pending:
            self.pending.pop(self.random.randrange(len(self.pending)))()

    def release(self) -> None:
        """What hangs goes on, and nothing hangs any more."""
        self.mode = "works"
        self._gate.set()
        self._gate = threading.Event()

    def _call(self, what: str, name: str, work: Callable[[], Any]) -> Any:
        self.calls.append((what, name))
        match self.mode:
            case "fails":
                raise Failure(what)
            case "loses":
                self._suppress(work)
                raise Failure(what)
            case "late":
                self.pending.append(lambda: self._suppress(work))
                raise Failure(what)
            case "hangs":
                gate = self._gate
                self.hanging.release()
                assert gate.wait(LONG)
        return work()

    def _read(self, name: str) -> Any:
        content = self.rows[name]
        match self.mode:
            case "damages":
                damaged = bytearray(content)
                damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
                return bytes(damaged)
            case "mixes up":
                return self.random.choice(list(self.rows.values()))
            case "forgets":
                raise KeyError(name)
        return content

    @staticmethod
    def _suppress(work: Callable[[], Any]) -> None:
        try:
            work()
        except KeyError:
            pass


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def on_shelf(shelf: Any, *, soft: float = LONG, hard: float = LONG, clock: Clock | None = None) -> Wrapped:
    """A tier over a shelf; a clock that stands still closes its breaker for good once it opened."""

    class OnShelf(Wrapped):
        _clock = staticmethod(clock or Clock())

    return OnShelf(shelf, soft=soft, hard=hard)


def until(condition: Callable[[], Any]) -> None:
    """Wait for what threads do in their own time."""
    pause = threading.Event()
    for _ in range(20_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never came")


def rest(tier: Outside) -> None:
    """Wait for what the tier does by itself after a call."""
    with tier._healing:
        pass
