"""The parts that all namespaces of a cache share, and the encoding of values for its tiers."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from threading import RLock
from typing import Any, Final, NamedTuple, final
from weakref import WeakSet, WeakValueDictionary

from tiercel.cache.backoff import Backoff
from tiercel.cache.counters import Counters
from tiercel.cache.entry import Entry
from tiercel.cache.entry_options import EntryOptions
from tiercel.cache.envelope import Envelope, pack
from tiercel.cache.keys import record_name, record_of
from tiercel.cache.large import tail
from tiercel.cache.leases import Lease
from tiercel.cache.lookup import Lookup
from tiercel.cache.mover import unfinished
from tiercel.cache.namespaces import Epochs, Namespace
from tiercel.cache.queued_tier import AnyTier
from tiercel.cache.refresh import Refresher
from tiercel.cache.single_flight import LoadFlights
from tiercel.cache.tier_stack import TierStack, Write
from tiercel.cache.values import Codec, DamagedValueError
from tiercel.errors import ClosedError
from tiercel.exits import AtExit
from tiercel.forks import call_after_fork, fork_lock

__all__ = ["Answer", "Shared"]

_RECENT: Final = 64


class Answer(NamedTuple):
    """A value and its origin."""

    value: Any
    tier: str | None
    """The class of the tier that had the value; None if it was loaded."""
    stale: bool
    """Whether the value has expired: it is being reloaded, or the reload failed."""
    age: float
    """Seconds since the load or write of the value began."""


@final
class Shared:
    """The shared parts of a cache."""

    def __init__(
        self,
        tiers: Sequence[AnyTier],
        capacity: int,
        codec: Codec,
        seed: int,
        clock: Callable[[], int],
        *,
        write: Write | None,
    ) -> None:
        self.stack = TierStack(tiers, capacity, write)
        self.lookup = Lookup(self.stack)
        self.counters = Counters()
        self.single_flight = LoadFlights(self.stack.leases)
        self.refresher = Refresher()
        self.backoff = Backoff(clock)
        self.clock = clock
        self.codec = codec
        self.closed = False
        # Held while a thread closes the cache. A signal handler may close it on the same thread.
        self.closing = RLock()
        self._is_forked = False
        self._random = Random(seed)  # noqa: S311
        self._lock = fork_lock()
        self._epochs = Epochs(clock)
        # Namespaces in use, and those that must be kept for other reasons.
        self._namespaces: WeakValueDictionary[str, Namespace] = WeakValueDictionary()
        self._held: dict[str, Namespace] = {}
        # The most recent namespaces, which are likely to be used again.
        self._recent: deque[Namespace] = deque(maxlen=_RECENT)
        _SHARED.add(self)
        call_after_fork(self)
        _AT_EXIT.is_needed()

    def namespace(self, name: str) -> Namespace:
        """Return a namespace, always the same object while it is in use."""
        known = self._namespaces.get(name)
        if known is not None:
            return known
        while True:
            changes = self._epochs.changes
            # Outside the lock, because this reads from tiers, which may be slow.
            made = Namespace(name, self.stack, self._epochs, self.counters, self._held)
            with self._lock:
                # Another caller may have created, changed and dropped it meanwhile.
                if self._epochs.changes == changes or name in self._namespaces:
                    used = self._namespaces.setdefault(name, made)
                    self._recent.append(used)
                    return used

    def known_namespace(self, name: str) -> Namespace | None:
        """Return a namespace that this cache has used and remembers, or None."""
        known = self._namespaces.get(name)
        return self.namespace(name) if known is None and self.stack.memo(record_name(name)) is not None else known

    def close_prefetchers(self) -> None:
        """Stop all prefetchers."""
        for namespace in list(self._held.values()):
            if namespace.prefetcher is not None:
                namespace.prefetcher.close()

    def keep_records(self) -> bool:
        """Write the records of all known namespaces to tiers that lost them.

        Return whether all have them.
        """
        if not any(tier.is_persistent for tier in self.stack.tiers):
            return True
        kept = True
        with self._lock:
            names = set(self._namespaces.keys())
        for name in names.union(map(record_of, self.stack.records())):
            kept &= self.namespace(name).keep_record()
        return kept

    def flush(self) -> bool:
        """Write everything to the persistent tiers and sync them. Return whether all succeeded."""
        kept = self.stack.write_back()
        kept &= self.keep_records()
        synced = [tier.backend.flush() for tier in self.stack.tiers]
        self.stack.health.check(synced)
        return kept and all(synced)

    def finish(self) -> None:
        """Flush before the process exits, except in a forked child of the owner."""
        if not self._is_forked and not self.closed:
            self.close_prefetchers()
            self.flush()

    def keep(self, name: bytes, data: bytes, own: Lease) -> None:
        """Write a loaded value, unless the cache was closed meanwhile."""
        with suppress(ClosedError):
            if not self.closed and not self.stack.write(name, data, own) and not own.revoked:
                self.counters.count("unkept")

    def seal(
        self, content: bytes, options: EntryOptions, version: tuple[int, int], written: int, cost: float = 0.0
    ) -> bytes:
        """Encode a value with its envelope, as tiers store it."""
        now = self.clock()
        fresh, grace, idle = options.until(now, self._random.random() if options.jitter else 0.0)
        return pack(Envelope(cost, *version, written, fresh, grace, idle, now, list(options.tags)), content)

    def open(self, entry: Entry, *, stale: bool = False) -> Answer | None:
        """Decode an entry. Return None if its bytes are not a value."""
        try:
            value = self.codec.decode(tail(entry.data, entry.start))
        except DamagedValueError:
            self.counters.count("unread")
            return None
        tier = self.stack.tiers[entry.tier]
        age = max(0, self.clock() - entry.envelope.written) / 1e9
        return Answer(value, type(tier.backend).__name__, stale, age)

    def after_fork(self) -> None:
        """Continue in a forked process, without the threads that held locks or ran loaders."""
        self._is_forked = True
        self.closing = RLock()
        self.stack.after_fork(self.clock())
        self.refresher = Refresher()


_SHARED: Final[WeakSet[Shared]] = WeakSet()


def _finish_all() -> None:
    """Flush open caches before the process exits, and finish the queues of unreferenced caches."""
    for shared in list(_SHARED):
        # Tiers may raise anything, and the others must still be flushed.
        with suppress(Exception):
            shared.finish()
    for moved in unfinished():
        with suppress(Exception):
            moved.finish()


# Before the tiers, because caches still write to them.
_AT_EXIT: Final = AtExit(_finish_all, priority=20)
