"""Logs when a tier begins to fail in the background and when it recovers, at most once a minute.

A tier on disk starts over after a failure. On a full disk it therefore accepts some values, fails,
and accepts some again, which would fill the log.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import Any, Final, final

from tiercel.cache.queued_tier import AnyTier
from tiercel.errors import ClosedError
from tiercel.forks import fork_lock

__all__ = ["HealthLog"]

_LOG: Final = logging.getLogger("tiercel")
# The time between two warnings about a tier, and the time without a failure after which it has recovered.
_QUIET: Final = 60.0


@final
class HealthLog:
    """Watches the tiers of a cache for failures."""

    def __init__(self, tiers: Sequence[AnyTier], clock: Callable[[], float] = monotonic) -> None:
        self._tiers = [_TierHealth(tier, f"cache: tiers[{at}], {_shown(tier)}") for at, tier in enumerate(tiers)]
        self._clock = clock
        self._checking = fork_lock()
        self._readings = count()
        self._newest = -1

    def check(self, synced: Sequence[bool] = ()) -> None:
        """Log what has changed.

        `synced` is, for each tier, whether it has just synced everything.
        """
        flushed = synced or [False] * len(self._tiers)
        # Without the lock: a tier may wait for a disk.
        reading = next(self._readings)
        stats = [health.stats() for health in self._tiers]
        with self._checking:
            if reading < self._newest:
                # These counters are older than those of another thread, which has overtaken this one.
                return
            self._newest = reading
            events = [
                health.check(self._clock(), counts, each)
                for health, counts, each in zip(self._tiers, stats, flushed, strict=True)
            ]
        # Without the lock: handlers may do anything.
        for event in events:
            if event is not None:
                _LOG.log(*event)


@final
class _TierHealth:
    """The health of a tier."""

    def __init__(self, tier: AnyTier, name: str) -> None:
        self._tier = tier
        self._name = name
        self._failures: int = self.stats().get("failures", 0)
        self._failed_at = self._warned_at = -_QUIET
        self._fails = False

    def stats(self) -> dict[str, Any]:
        """Return the counters of the tier."""
        # The tier may be closed.
        with suppress(ClosedError):
            return dict(self._tier.stats())
        return {}

    def check(self, now: float, stats: dict[str, Any], synced: bool) -> tuple[int, str] | None:
        """Return what to log about these counters."""
        breaker, failures = stats.get("breaker"), stats.get("failures", 0)
        fails = failures > self._failures if breaker is None else breaker == "open"
        self._failures = failures
        if fails:
            self._failed_at = now
            if self._fails or now - self._warned_at < _QUIET:
                return None
            self._fails, self._warned_at = True, now
            if breaker is None:
                return logging.WARNING, f"{self._name}: the disk refuses reads or writes; their values are dropped"
            return (
                logging.WARNING,
                f"{self._name}: does not answer, and will be tried again later: {stats.get('error')}",
            )
        # A tier that has just been emptied has not shown that it works.
        works = breaker == "closed" or (bool(stats.get("entries")) and (synced or now - self._failed_at >= _QUIET))
        if not self._fails or not works:
            return None
        self._fails = False
        return logging.INFO, f"{self._name}: {'the disk works' if breaker is None else 'answers'} again"


def _shown(tier: AnyTier) -> str:
    """Return the tier with its directory. The address of a remote tier may hold a password, so it is not shown."""
    directory = getattr(tier, "directory", None)
    return f"{type(tier).__name__} {directory}" if directory else type(tier).__name__
