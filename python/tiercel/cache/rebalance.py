"""What lies where, put in order by how it was used lately."""

from typing import NamedTuple

from tiercel.cache.admission import worth
from tiercel.cache.envelope import unpack
from tiercel.cache.keys import namespace_of
from tiercel.cache.ladder import Ladder
from tiercel.cache.level import Level
from tiercel.cache.lookup import SIGHTS
from tiercel.cache.shared import Shared

__all__ = ["Rebalanced", "rebalance"]


class Rebalanced(NamedTuple):
    """What was moved."""

    removed: int
    """Values that were too old, or invalidated."""
    removed_bytes: int
    promoted: int
    """Values copied to the first tier."""
    promoted_bytes: int
    demoted: int
    """Values that the first tier drove out."""
    demoted_bytes: int


class _Found(NamedTuple):
    worth: float
    name: bytes
    size: int


def rebalance(shared: Shared) -> Rebalanced:
    """Remove what may no longer be given, and let the best of the lower tiers and the least of the first one change places.

    Tiers outside of the process are left alone: each look would be a call.
    """
    ladder = shared.ladder
    removed = _remove_old(shared)
    ladder.work()
    up: list[int] = []
    down: list[int] = []
    if len(ladder.levels) > 1 and ladder.levels[0].is_near:
        _exchange(ladder, up, down)
        ladder.work()
    return Rebalanced(len(removed), sum(removed), len(up), sum(up), len(down), sum(down))


def _remove_old(shared: Shared) -> list[int]:
    now = shared.clock()
    removed: list[int] = []
    for level in shared.ladder.levels:
        for name in list(level.names()) if level.is_near else ():
            data = level.peek(name)
            parsed = None if data is None else unpack(data)
            space = namespace_of(name)
            if data is None or parsed is None or space is None:
                continue
            # What this process does not use it knows no epoch of.
            namespace = shared.known_namespace(space)
            if not (parsed[0].is_kept(now) and (namespace is None or namespace.allows(parsed[0]))):
                removed += [len(data)] if shared.ladder.remove(name, data) else []
    return removed


def _exchange(ladder: Ladder, up: list[int], down: list[int]) -> None:
    first = ladder.levels[0]
    lowest = sorted(_found(ladder, first), reverse=True)
    free = 0
    is_full = False
    below = [found for level in ladder.levels[1:] if level.is_near for found in _found(ladder, level)]
    for best in sorted(below, reverse=True):
        if best.name in first.tier or ladder.sketch.count(best.name) < SIGHTS:
            continue
        if not is_full:
            # What the tier drives out tells that there is no more room.
            evictions = first.tier.stats()["evictions"]
            is_lifted = ladder.lift(best.name)
            is_full = first.tier.stats()["evictions"] > evictions
            if is_lifted and best.name in first.tier:
                up.append(best.size)
                continue
        while free < best.size and lowest and lowest[-1].worth < best.worth:
            least = lowest.pop()
            if ladder.lower(least.name):
                down.append(least.size)
                free += least.size
        if free < best.size:
            return
        if ladder.lift(best.name):
            up.append(best.size)
            free -= best.size


def _found(ladder: Ladder, level: Level) -> list[_Found]:
    found: list[_Found] = []
    for name in list(level.names()):
        data = level.peek(name)
        if data is not None and namespace_of(name) is not None:
            found.append(_Found(worth(ladder.sketch, name, data), name, len(name) + len(data)))
    return found
