"""Finds the values of keys in the tiers: for each key the first one, from the top, that may still be given.

A value that was found below the first tier is copied up when its key has been asked for often enough.
"""

from collections.abc import Sequence
from typing import Final, final

from tiercel._core import Finally
from tiercel.cache.envelope import as_copy, unpack
from tiercel.cache.ladder import Ladder
from tiercel.cache.level import Level
from tiercel.cache.namespaces import Namespace
from tiercel.cache.seen import Seen
from tiercel.cache.watches import Watch

__all__ = ["SIGHTS", "Lookup"]

# How often a key must have been asked for to be copied to the first tier.
SIGHTS: Final = 2
# What was used is marked when it lay unused for an eighth of what it may.
_TOUCH: Final = 8


@final
class Lookup:
    """Finds values in the tiers of a cache."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder

    def find(self, name: bytes, namespace: Namespace, now: int) -> tuple[Seen | None, Seen | None]:
        """A value that may be given, and else one that may stand in for it, or none of them. The key has been counted as asked for."""
        seen, stale = self._judge(0, self._ladder.levels[0].look(name), namespace, now)
        if seen is not None:
            self._touch(seen, name, now)
            return seen, None
        if len(self._ladder.levels) == 1:
            return None, stale
        watch = Watch(name)
        with Finally(self._ladder.watches.end, watch):
            self._ladder.watches.begin(watch)
            for at, level in enumerate(self._ladder.levels[1:], 1):
                seen, older = self._judge(at, level.look(name), namespace, now)
                stale = stale or older
                if seen is not None:
                    if self._ladder.sketch.count(name) >= SIGHTS or seen.envelope.idle:
                        self._promote(seen, watch, now)
                    return seen, None
        return None, stale

    def find_many(
        self, names: Sequence[bytes], namespace: Namespace, now: int
    ) -> list[tuple[Seen | None, Seen | None]]:
        """The same of many keys, with one question to each tier."""
        sights = {name: self._ladder.sketch.add(name) for name in names}
        found: dict[bytes, tuple[Seen | None, Seen | None]] = {}
        missing = list(sights)
        watches: dict[bytes, Watch] = {}
        with Finally(self._end_all, watches):
            for at, level in enumerate(self._ladder.levels):
                for name in missing if at == 1 else ():
                    watches[name] = Watch(name)
                    self._ladder.watches.begin(watches[name])
                for name, data in zip(missing, level.look_many(missing), strict=True):
                    seen, older = self._judge(at, data, namespace, now)
                    found[name] = seen, None if seen else found.get(name, (None, None))[1] or older
                    if seen is not None and at == 0:
                        self._touch(seen, name, now)
                    elif seen is not None and (sights[name] >= SIGHTS or seen.envelope.idle):
                        self._promote(seen, watches[name], now)
                missing = [name for name in missing if found[name][0] is None]
        return [found[name] for name in names]

    def peek(self, name: bytes, namespace: Namespace, now: int) -> Seen | None:
        """A value that may be given; it is not counted as asked for."""
        return self._peek(name, namespace, now, self._ladder.levels)

    def peek_nearby(self, name: bytes, namespace: Namespace, now: int) -> Seen | None:
        """The same, without a call to anything outside of the process."""
        return self._peek(name, namespace, now, [level for level in self._ladder.levels if level.is_near])

    def _peek(self, name: bytes, namespace: Namespace, now: int, levels: Sequence[Level]) -> Seen | None:
        for level in levels:
            data = level.peek(name)
            parsed = None if data is None else unpack(data)
            if data is not None and parsed is not None and namespace.allows(parsed[0]) and parsed[0].is_fresh(now):
                return Seen(data, *parsed, self._ladder.levels.index(level))
        return None

    def _judge(self, at: int, data: bytes | None, namespace: Namespace, now: int) -> tuple[Seen | None, Seen | None]:
        """What a tier gave, if it may be given, and else if it may stand in."""
        if data is None:
            return None, None
        parsed = unpack(data)
        if parsed is not None and namespace.allows(parsed[0]):
            seen = Seen(data, *parsed, at)
            if seen.envelope.is_fresh(now):
                return seen, None
            self._ladder.levels[at].count(stale=1)
            return None, seen if seen.envelope.is_kept(now) else None
        self._ladder.levels[at].count(stale=1)
        return None, None

    def _promote(self, seen: Seen, watch: Watch, now: int) -> None:
        """Copy a value that was used to the first tier, unless it is outdated."""
        level = self._ladder.levels[seen.level]
        data = seen.touched(now) if seen.envelope.idle else seen.data
        if self._ladder.copy_up(watch.name, data if level.is_near else as_copy(data), watch):
            level.count(promoted=1)

    def _touch(self, seen: Seen, name: bytes, now: int) -> None:
        """Mark a value as used that must not lie unused for long."""
        if not seen.envelope.idle or now < seen.envelope.touched + seen.envelope.idle // _TOUCH:
            return
        watch = Watch(name)
        with Finally(self._ladder.watches.end, watch):
            self._ladder.watches.begin(watch)
            if self._ladder.levels[0].tier.get(name) == seen.data:
                self._ladder.copy_up(name, seen.touched(now), watch)

    def _end_all(self, watches: dict[bytes, Watch]) -> None:
        for watch in watches.values():
            self._ladder.watches.end(watch)
