"""Counters of events in a cache, and warnings about events that would go unnoticed."""

import warnings
from collections.abc import Sequence
from typing import Final, final

from tiercel.cache.queued_tier import QueuedTier
from tiercel.forks import fork_lock

__all__ = ["Counters"]

_COUNTED: Final[Sequence[str]] = (
    "loads",
    "load_failures",
    "waits",
    "deadlines",
    "stale_served",
    "unkept",
    "unread",
)
# The most warnings, by namespace and type.
_WARNINGS: Final = 1000


@final
class Counters:
    """Counts events, and warns once about each kind."""

    def __init__(self) -> None:
        self._lock = fork_lock()
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)
        self._warned: set[tuple[str, str]] = set()

    def count(self, what: str) -> None:
        """Count an event."""
        with self._lock:
            self._counts[what] += 1

    def counts(self) -> dict[str, int]:
        """Return the counts so far."""
        with self._lock:
            return dict(self._counts)

    def not_kept(self, namespace: str, value: object, error: Exception) -> None:
        """Count a loaded value that could not be cached, and warn once per namespace and type."""
        self.count("unkept")
        kind, where = type(value).__qualname__, _place(namespace)
        message = f"a loaded value of type {kind} cannot be kept in {where}, so every call loads it: {error}"
        self._warn_once((namespace, kind), message)

    def damaged_record(self, namespace: str, tier: QueuedTier) -> None:
        """Count an unreadable record of a namespace, and warn once.

        Without another record the namespace begins a new epoch.
        """
        self.count("unread")
        kind = type(tier.backend).__name__
        message = f"{kind}: the record of {_place(namespace)} is damaged; values in that tier may no longer be returned"
        self._warn_once((namespace, f"record in {kind}"), message)

    def _warn_once(self, mark: tuple[str, str], message: str) -> None:
        with self._lock:
            if mark in self._warned or len(self._warned) >= _WARNINGS:
                return
            self._warned.add(mark)
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def _place(namespace: str) -> str:
    return f"the namespace {namespace!r}" if namespace else "the cache"
