"""Loads what is likely to be requested next, while the cache is idle.

>>> from tiercel.cache.prefetch import Prefetcher
>>> cache = {}
>>> def load(key):
...     cache[key] = b"page of " + key.encode()
...     return len(cache[key])
>>> prefetcher = Prefetcher(cache, load, idle=0)
>>> for _ in range(20):
...     for key in ["menu", "dish", "price", "wine", "bill"]:
...         prefetcher.record(key, hit=key in cache)
>>> prefetcher.predict("menu")[0].key
'dish'
>>> prefetcher.close()
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Container
from contextlib import suppress
from typing import Final, TypedDict

from tiercel._core import Finally
from tiercel.cache.associations import Associations, Prediction
from tiercel.cache.keys import Key
from tiercel.checks import number
from tiercel.forks import call_after_fork, fork_lock
from tiercel.gate import Gate
from tiercel.handles import Handle
from tiercel.threads import start as start_thread

__all__ = ["PrefetchStats", "Prefetcher"]

_JUDGED: Final = 256
"""The number of recent prefetches by which a prefetcher judges itself."""
_WAITING: Final = 64
"""The most predictions in the queue."""
_LINGER: Final = 1.0
"""Seconds that an idle worker stays, because starting a thread costs as much as many hits."""


class PrefetchStats(TypedDict):
    """Counters of a prefetcher."""

    requests: int
    """Recorded requests."""
    misses: int
    """Requests that found nothing."""
    prefetched: int
    """Keys that were loaded ahead of a request."""
    bytes: int
    """Their size in bytes."""
    used: int
    """Prefetched keys that were requested and found."""
    wasted: int
    """Prefetched keys that failed to load, or were not requested and found within the window."""
    failures: int
    """Loads that raised an error."""
    precision: float | None
    """The share of the last 256 prefetches that were used; None before the first one is decided."""
    coverage: float | None
    """The share of would-be misses that a prefetch turned into hits; None before the first one."""
    off: bool
    """Whether it was closed, or switched itself off because more than half of the last 256 prefetches were wasted."""


class _Budget:
    """A rate limit with a burst of one second. It may be overdrawn, which delays the next spending."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = now

    def wait(self, now: float) -> float:
        """Return the seconds until something may be spent."""
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        # Slightly longer than until the balance is 0, because spending needs more than that.
        return 0.0 if self._left > 0 else 1e-3 - self._left / self._rate

    def spend(self, amount: float) -> None:
        self._left -= amount


def _on_a_thread(work: Callable[[], None]) -> None:
    start_thread(threading.Thread(target=work, name="tiercel-prefetch", daemon=True))


class Prefetcher(Handle):
    """Learns which keys follow which, and loads those that are likely to be requested next.

    It loads only while there are no requests, within its limits, and only keys that have followed
    at least 80% of the time, by the lower bound of a confidence interval (see `Associations`). It
    compares what it loaded with the requests that came, and switches itself off when more than half
    of its last 256 prefetches were wasted. Its thread starts with the first prediction and ends
    after a second without work.

    Parameters
    ----------
    cache
        The cache. A key is not loaded if `key in cache`.
    load
        Loads a key into the cache and returns its size in bytes. It must not record a request. Its
        errors are counted.
    idle
        Seconds without a request after which loading begins.
    loads_per_second, bytes_per_second
        Rate limits.
    associations
        The model, by default a new one.
    clock, start
        Functions that return the time in seconds, and that run the worker.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.
    """

    def __init__(
        self,
        cache: Container[Key],
        load: Callable[[Key], int],
        *,
        idle: float = 0.02,
        loads_per_second: float = 100,
        bytes_per_second: float = 16 << 20,
        associations: Associations | None = None,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], object] = _on_a_thread,
    ) -> None:
        self._cache: Final = cache
        self._load: Final = load
        self._idle: Final = number(idle, "idle", 0, 3600)
        self._associations: Final = Associations() if associations is None else associations
        self._clock: Final = clock
        self._start: Final = start
        now = clock()
        self._loads: Final = _Budget(number(loads_per_second, "loads_per_second", 1e-3, 1e9), now)
        self._bytes: Final = _Budget(number(bytes_per_second, "bytes_per_second", 1, 1e15), now)
        self._lock: Final = fork_lock()
        self._woken = Gate()
        self._has_worker = False
        self._asked = now
        # Predicted and prefetched keys, with the number of the last request that may use them; the newest come last.
        self._waiting: OrderedDict[Key, int] = OrderedDict()
        self._there: OrderedDict[Key, int] = OrderedDict()
        self._verdicts: deque[bool] = deque(maxlen=_JUDGED)
        self._off = False
        self._requests = self._misses = self._prefetched = self._volume = self._used = self._wasted = self._failures = 0
        call_after_fork(self)

    def after_fork(self) -> None:
        """Continue in a forked child, which does not have the worker."""
        self._has_worker, self._woken = False, Gate()

    def record(self, key: Key, hit: bool) -> None:
        """Record a request, and whether the key was found."""
        starts: list[bool] = []
        with Finally(self._check_start, starts):
            with self._lock:
                self._note(key, hit=hit)
                if self._waiting and not self._has_worker:
                    starts.append(True)
                    self._has_worker = True
            # No thread can start, for example while Python exits. Requests go on, and the next one
            # tries again.
            with suppress(RuntimeError):
                if starts:
                    self._start(self._work)
                    starts.clear()

    def _check_start(self, starts: list[bool]) -> None:
        """Forget a worker that could not start."""
        if starts:
            self._has_worker = False

    def _note(self, key: Key, *, hit: bool) -> None:
        self._requests += 1
        self._misses += not hit
        self._asked = self._clock()
        if self._off:
            return
        while self._there and next(iter(self._there.values())) < self._requests:
            self._there.popitem(last=False)
            self._judge(used=False)
        if self._there.pop(key, None) is not None:
            self._judge(used=hit)
        self._waiting.pop(key, None)
        self._associations.record(key)
        self._expect(self._associations.predict())

    def predict(self, key: Key | None = None, limit: int = 8) -> list[Prediction]:
        """Predict at most `limit` keys that follow a key, or the last request, likeliest first."""
        with self._lock:
            return self._associations.predict(key, limit)

    def stats(self) -> PrefetchStats:
        """Return the counters."""
        with self._lock:
            verdicts, missing = self._verdicts, self._used + self._misses
            return PrefetchStats(
                requests=self._requests,
                misses=self._misses,
                prefetched=self._prefetched,
                bytes=self._volume,
                used=self._used,
                wasted=self._wasted,
                failures=self._failures,
                precision=sum(verdicts) / len(verdicts) if verdicts else None,
                coverage=self._used / missing if missing else None,
                off=self._off,
            )

    def close(self) -> None:
        """Stop. A running load completes. Closing twice is harmless."""
        with self._lock:
            self._switch_off()

    def step(self) -> float | None:
        """Load one key if it is time. Return the seconds until the next step, or None if none is needed."""
        with self._lock:
            now = self._clock()
            if self._waiting and next(reversed(self._waiting.values())) <= self._requests:
                # Even the newest prediction comes too late.
                self._waiting.clear()
            quiet = now - self._asked
            if self._off or (not self._waiting and quiet >= _LINGER):
                self._has_worker = False
                return None
            if not self._waiting:
                return _LINGER - quiet
            wait = max(self._idle - quiet, self._loads.wait(now), self._bytes.wait(now))
            # A wait below the rounding error of time differences does not count.
            if wait > 1e-6:
                return wait
            key, _ = self._waiting.popitem()
        self._prefetch(key)
        return 0.0

    def _prefetch(self, key: Key) -> None:
        """Load a key without the lock, so that requests go on, even for this key."""
        size = failures = 0
        try:
            if key in self._cache:
                return
            with self._lock:
                if self._there.pop(key, None) is not None:
                    # It has left the cache since it was prefetched.
                    self._judge(used=False)
                self._there[key] = self._requests + self._associations.window
            size = int(self._load(key))
        except Exception:  # noqa: BLE001 - loaders and caches may raise anything, and no caller waits
            failures = 1
        with self._lock:
            self._loads.spend(1)
            self._bytes.spend(size)
            self._failures += failures
            self._prefetched += 1 - failures
            self._volume += size
            if failures and self._there.pop(key, None) is not None:
                self._judge(used=False)

    def _expect(self, predictions: list[Prediction]) -> None:
        """Queue predictions. The likeliest one for the last request is next."""
        if predictions and not self._waiting:
            self._woken.open()
        for prediction in reversed(predictions):
            self._waiting.pop(prediction.key, None)
            self._waiting[prediction.key] = self._requests + self._associations.window
        while len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def _judge(self, *, used: bool) -> None:
        self._verdicts.append(used)
        self._used += used
        self._wasted += not used
        # More than half of a full round is wasted already, whatever the rest brings.
        if self._verdicts.count(False) > _JUDGED // 2:
            self._switch_off()

    def _switch_off(self) -> None:
        self._off = True
        self._waiting.clear()
        self._there.clear()
        self._woken.open()

    def _work(self) -> None:
        while (seconds := self.step()) is not None:
            if seconds:
                self._woken.wait(seconds)
