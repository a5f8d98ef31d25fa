"""What all namespaces of a cache have in common, and how a value becomes what its tiers keep."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final, NamedTuple, final
from weakref import WeakSet, WeakValueDictionary

from tiercel.cache.envelope import Envelope, pack
from tiercel.cache.flights import Flights
from tiercel.cache.keys import record_name, record_of
from tiercel.cache.ladder import Ladder, Write
from tiercel.cache.large import tail
from tiercel.cache.level import AnyTier
from tiercel.cache.lookup import Lookup
from tiercel.cache.mover import forget_all, unfinished
from tiercel.cache.namespaces import Epochs, Namespace
from tiercel.cache.notes import Notes
from tiercel.cache.pauses import Pauses
from tiercel.cache.renewals import Renewals
from tiercel.cache.seen import Seen
from tiercel.cache.terms import Terms
from tiercel.cache.values import Codec, DamagedValueError
from tiercel.cache.watches import Watch
from tiercel.errors import ClosedError
from tiercel.exits import AtExit

__all__ = ["Answer", "Shared"]

_RECENT: Final = 64


class Answer(NamedTuple):
    """A value, and where it comes from."""

    value: Any
    tier: str | None
    """The class of the tier that had it; None if it was loaded."""
    stale: bool
    """Whether it is past its time: it is being loaded anew, or could not be."""
    age: float
    """Seconds since what it comes from was read."""


@final
class Shared:
    """The parts of a cache."""

    def __init__(
        self,
        tiers: Sequence[AnyTier],
        room: int,
        codec: Codec,
        seed: int,
        clock: Callable[[], int],
        *,
        write: Write | None,
    ) -> None:
        self.ladder = Ladder(tiers, room, write)
        self.lookup = Lookup(self.ladder)
        self.notes = Notes()
        self.flights = Flights(self.ladder.watches)
        self.renewals = Renewals()
        self.pauses = Pauses(clock)
        self.clock = clock
        self.codec = codec
        self.closed = False
        self._process = os.getpid()
        self._random = Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._epochs = Epochs(clock)
        # Those that somebody uses, and those that must be held for other reasons.
        self._namespaces: WeakValueDictionary[str, Namespace] = WeakValueDictionary()
        self._held: dict[str, Namespace] = {}
        # A few of those that were made last, which are likely to be asked for again.
        self._recent: deque[Namespace] = deque(maxlen=_RECENT)
        _SHARED.add(self)
        _AT_EXIT.is_needed()

    def namespace(self, name: str) -> Namespace:
        """A namespace, the same object as long as somebody has it."""
        known = self._namespaces.get(name)
        if known is not None:
            return known
        while True:
            changes = self._epochs.changes
            # Without the lock: it asks tiers, which may take their time.
            made = Namespace(name, self.ladder, self._epochs, self.notes, self._held)
            with self._lock:
                # Somebody else may have had it, changed it and left it meanwhile.
                if self._epochs.changes == changes or name in self._namespaces:
                    used = self._namespaces.setdefault(name, made)
                    self._recent.append(used)
                    return used

    def known_namespace(self, name: str) -> Namespace | None:
        """A namespace that this cache has used, and knows something of."""
        known = self._namespaces.get(name)
        return self.namespace(name) if known is None and self.ladder.memo(record_name(name)) is not None else known

    def close_prefetchers(self) -> None:
        """Load nothing any more that nobody has asked for."""
        for namespace in list(self._held.values()):
            if namespace.prefetcher is not None:
                namespace.prefetcher.close()

    def keep_records(self) -> bool:
        """Give the tiers what is known of namespaces, where they have lost it."""
        if not any(level.lasts for level in self.ladder.levels):
            return True
        kept = True
        with self._lock:
            names = set(self._namespaces.keys())
        for name in names.union(map(record_of, self.ladder.records())):
            kept &= self.namespace(name).keep()
        return kept

    def flush(self) -> bool:
        """Give the tiers that outlive the process what they are to have, and have it on their disks; tells whether it is there."""
        kept = self.ladder.copy_down()
        kept &= self.keep_records()
        synced = [level.tier.flush() for level in self.ladder.levels]
        self.ladder.refusals.look(synced)
        return kept and all(synced)

    def finish(self) -> None:
        """What a process does before it ends, unless it is one that was forked from the owner."""
        if self._process == os.getpid() and not self.closed:
            self.close_prefetchers()
            self.flush()

    def keep(self, name: bytes, data: bytes, mine: Watch) -> None:
        """Write what was loaded; a cache that was closed meanwhile keeps nothing."""
        with suppress(ClosedError):
            if not self.closed and not self.ladder.write(name, data, mine) and not mine.crossed:
                self.notes.count("unkept")

    def seal(self, content: bytes, terms: Terms, stamp: tuple[int, int], written: int, cost: float = 0.0) -> bytes:
        """The bytes of a value as tiers keep them."""
        now = self.clock()
        fresh, grace, idle = terms.until(now, self._random.random() if terms.jitter else 0.0)
        return pack(Envelope(cost, *stamp, written, fresh, grace, idle, now, list(terms.tags)), content)

    def open(self, seen: Seen, *, stale: bool = False) -> Answer | None:
        """What a tier kept as an answer; None if its bytes are no value."""
        try:
            value = self.codec.decode(tail(seen.data, seen.start))
        except DamagedValueError:
            self.notes.count("unread")
            return None
        level = self.ladder.levels[seen.level]
        age = max(0, self.clock() - seen.envelope.written) / 1e9
        return Answer(value, type(level.tier).__name__, stale, age)

    def renew(self) -> None:
        """Go on in a forked process, where threads that held a lock, or loaded something, are not."""
        self._lock = threading.Lock()
        self.notes.renew()
        self._epochs.renew()
        for namespace in list(self._namespaces.values()):
            namespace.renew()
        self.ladder.renew(self.clock())
        self.flights.renew(self.ladder.watches)
        self.renewals, self.pauses = Renewals(), Pauses(self.clock)


_SHARED: Final[WeakSet[Shared]] = WeakSet()


def _finish_all() -> None:
    """Before the process ends: a cache that was not closed, and what one that nobody holds any more has left to do."""
    for shared in list(_SHARED):
        # Tiers raise what they like, and the others are to be flushed, too.
        with suppress(Exception):
            shared.finish()
    for moved in unfinished():
        with suppress(Exception):
            moved.finish()


# Before the tiers, to which the caches still write.
_AT_EXIT: Final = AtExit(_finish_all, priority=20)


def _renew_all() -> None:
    forget_all()
    for shared in list(_SHARED):
        shared.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
