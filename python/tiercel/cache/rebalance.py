"""Rearranges the values of all local tiers by their recent use."""

from typing import NamedTuple

from tiercel.cache.admission import worth
from tiercel.cache.envelope import unpack
from tiercel.cache.keys import namespace_of
from tiercel.cache.lookup import PROMOTE_AT
from tiercel.cache.queued_tier import QueuedTier
from tiercel.cache.shared import Shared
from tiercel.cache.tier_stack import TierStack

__all__ = ["Rebalanced", "rebalance"]


class Rebalanced(NamedTuple):
    """What `optimize` removed and moved."""

    removed: int
    """Values that had expired or were invalidated."""
    removed_bytes: int
    promoted: int
    """Values copied to the first tier."""
    promoted_bytes: int
    demoted: int
    """Values moved down from the first tier."""
    demoted_bytes: int


class _Found(NamedTuple):
    worth: float
    name: bytes
    size: int


def rebalance(shared: Shared) -> Rebalanced:
    """Remove expired and invalidated values, and exchange values between the tiers.

    The best values of lower tiers replace the worst ones of the first tier. Remote tiers are left
    alone, because every read would be a remote call.
    """
    stack = shared.stack
    removed = _remove_old(shared)
    stack.drain()
    up: list[int] = []
    down: list[int] = []
    if len(stack.tiers) > 1 and stack.tiers[0].is_local:
        _exchange(stack, up, down)
        stack.drain()
    return Rebalanced(len(removed), sum(removed), len(up), sum(up), len(down), sum(down))


def _remove_old(shared: Shared) -> list[int]:
    now = shared.clock()
    removed: list[int] = []
    for tier in shared.stack.tiers:
        for name in list(tier.names()) if tier.is_local else ():
            data = tier.peek(name)
            parsed = None if data is None else unpack(data)
            space = namespace_of(name)
            if data is None or parsed is None or space is None:
                continue
            # The epoch of a namespace that this process does not use is unknown.
            namespace = shared.known_namespace(space)
            if not (parsed[0].is_kept(now) and (namespace is None or namespace.is_valid(parsed[0]))):
                removed += [len(data)] if shared.stack.remove(name, data) else []
    return removed


def _exchange(stack: TierStack, up: list[int], down: list[int]) -> None:
    first = stack.tiers[0]
    lowest = sorted(_found(stack, first), reverse=True)
    free = 0
    is_full = False
    below = [found for tier in stack.tiers[1:] if tier.is_local for found in _found(stack, tier)]
    for best in sorted(below, reverse=True):
        if best.name in first.backend or stack.sketch.count(best.name) < PROMOTE_AT:
            continue
        if not is_full:
            # An eviction shows that the tier is full.
            evictions = first.backend.stats()["evictions"]
            is_lifted = stack.promote(best.name)
            is_full = first.backend.stats()["evictions"] > evictions
            if is_lifted and best.name in first.backend:
                up.append(best.size)
                continue
        while free < best.size and lowest and lowest[-1].worth < best.worth:
            least = lowest.pop()
            if stack.demote(least.name):
                down.append(least.size)
                free += least.size
        if free < best.size:
            return
        if stack.promote(best.name):
            up.append(best.size)
            free -= best.size


def _found(stack: TierStack, tier: QueuedTier) -> list[_Found]:
    found: list[_Found] = []
    for name in list(tier.names()):
        data = tier.peek(name)
        if data is not None and namespace_of(name) is not None:
            found.append(_Found(worth(stack.sketch, name, data), name, len(name) + len(data)))
    return found
