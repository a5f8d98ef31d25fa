"""Replays a trace of requests on tiers, and on plain LRU caches of the same size."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import numpy as np

from tiercel.cache.cache import Cache
from tiercel.cache.tiers import Memory, Store, Tier
from tiercel.cache.traces import Trace
from tiercel.errors import InvalidInputError

__all__ = ["Replayed", "TwoTiers", "replay", "replay_two_tiers"]

Progress: TypeAlias = Callable[[int, int], None] | None

# Requests between two reports of progress.
_PAUSE = 65536
# The size of values if the trace has no sizes.
_VALUE = 1024
# The size of values if only their number counts.
_SMALL = 64


class Replayed(NamedTuple):
    """How many requests of a trace were hits."""

    requests: int
    hits: int
    """In `Memory`."""
    lru_hits: int
    """In an LRU cache."""


def replay(trace: Trace, size: int, *, progress: Progress = None) -> Replayed:
    """Request every key of a trace, and put those that are absent.

    Parameters
    ----------
    trace : Trace
    size : int
        Bytes if the trace has sizes, otherwise keys. The memory tier counts its bookkeeping against the bytes; the LRU,
        which serves as a reference, does not.
    progress : callable, optional
        Called at intervals as `progress(done, total)`.

    Returns
    -------
    Replayed
    """
    unique, requests = np.unique(trace.keys, return_inverse=True)
    keys = [int(key).to_bytes(8, "little", signed=True) for key in unique]
    order = requests.tolist()
    if trace.sizes is None:
        measure = Memory(1 << 20)
        measure.put(keys[0], bytes(_VALUE))
        room, sizes, lru_sizes = size * measure.bytes, [_VALUE] * len(order), [1] * len(order)
    else:
        room, sizes = size, trace.sizes.tolist()
        lru_sizes = sizes
    total = 2 * len(order)
    hits = _memory(Memory(room), room, keys, _told(order, sizes, 0, total, progress))
    return Replayed(len(order), hits, _lru(size, _told(order, lru_sizes, len(order), total, progress)))


class TwoTiers(NamedTuple):
    """How many requests of a trace were hits in a memory tier above a store."""

    requests: int
    first_hits: int
    """In the memory tier."""
    hits: int
    """In either tier."""
    first_lru_hits: int
    """In an LRU cache of the memory tier's size."""
    lru_hits: int
    """In an LRU cache of the store's size."""


def replay_two_tiers(trace: Trace, size: int, below: int, *, progress: Progress = None) -> TwoTiers:
    """Request every key of a trace from a `Cache` of a memory tier above a store, and put those that are absent.

    Parameters
    ----------
    trace : Trace
        Without sizes.
    size, below : int
        Keys that fit in the memory tier and in the store.
    progress : callable, optional
        Called at intervals as `progress(done, total)`.

    Returns
    -------
    TwoTiers

    Raises
    ------
    InvalidInputError
        The trace has sizes.
    """
    if trace.sizes is not None:
        raise InvalidInputError("trace: expected one without sizes for two tiers")
    unique, requests = np.unique(trace.keys, return_inverse=True)
    keys = [int(key).to_bytes(8, "little", signed=True) for key in unique]
    order = requests.tolist()
    total = 3 * len(order)
    ones = [1] * len(order)
    with TemporaryDirectory() as directory:
        found = _two_tiers(Path(directory), size, below, _told(order, ones, 0, total, progress), keys)
    first = _lru(size, _told(order, ones, len(order), total, progress))
    return TwoTiers(len(order), *found, first, _lru(below, _told(order, ones, 2 * len(order), total, progress)))


def _two_tiers(
    directory: Path, size: int, below: int, requests: Iterator[tuple[int, int]], keys: list[bytes]
) -> tuple[int, int]:
    """Return the hits of the first tier, and of both."""
    value = bytes(_SMALL)
    first = size * _entry(Memory(1 << 20), value)
    second = below * _entry(Store(directory / "measure", 1 << 20), value)
    with Cache([Memory(first), Store(directory / "store", second)], write="back") as cache:
        for request, _ in requests:
            # Put without a cost, because values that are slow to load stay longer, and move down at
            # once.
            if cache.get(keys[request]) is None:
                cache[keys[request]] = value
            cache.wait_idle()
        memory, store = (tier["hits"] for tier in cache.stats()["tiers"])
    return memory, memory + store


def _entry(tier: Tier, value: bytes) -> int:
    """Return the bytes that an entry of a cache takes in a tier."""
    with Cache([tier]) as cache:
        # The first value adds the record of the namespace.
        cache[bytes(8)] = value
        before = tier.bytes
        cache[b"another."] = value
        return tier.bytes - before


def _told(order: list[int], sizes: list[int], done: int, total: int, progress: Progress) -> Iterator[tuple[int, int]]:
    """Yield requests with their sizes, and report progress in between."""
    for start in range(0, len(order), _PAUSE):
        yield from zip(order[start : start + _PAUSE], sizes[start : start + _PAUSE], strict=True)
        if progress is not None:
            progress(done + min(start + _PAUSE, len(order)), total)


def _memory(memory: Memory, room: int, keys: list[bytes], requests: Iterator[tuple[int, int]]) -> int:
    content = memoryview(bytes(_VALUE))
    hits = 0
    for request, size in requests:
        key = keys[request]
        if memory.get(key) is not None:
            hits += 1
            continue
        if size > room:
            # The tier would refuse it, and the trace may name sizes larger than the memory.
            continue
        if size > len(content):
            content = memoryview(bytes(min(2 * size, room)))
        memory.put(key, content[:size])
    return hits


def _lru(room: int, requests: Iterator[tuple[int, int]]) -> int:
    there: OrderedDict[int, int] = OrderedDict()
    hits = taken = 0
    for request, size in requests:
        if request in there:
            there.move_to_end(request)
            hits += 1
        elif size <= room:
            there[request] = size
            taken += size
            while taken > room:
                taken -= there.popitem(last=False)[1]
    return hits
