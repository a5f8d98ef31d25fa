"""What tiers of some size make of a trace of accesses, beside a plain LRU of the same size."""

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
# Bytes of every value where a trace does not tell.
_VALUE = 1024
# The same where nothing but their number counts.
_SMALL = 64


class Replayed(NamedTuple):
    """How many of the requests of a trace were found."""

    requests: int
    hits: int
    """By `Memory`."""
    lru_hits: int
    """By a cache that drops what was not used for longest."""


def replay(trace: Trace, size: int, *, progress: Progress = None) -> Replayed:
    """Ask for every key of a trace, and put what is not there.

    Parameters
    ----------
    trace : Trace
    size : int
        Bytes, if the trace tells the size of what was asked for, otherwise keys. The memory tier counts its bookkeeping against bytes,
        too; the LRU, which is there to compare with, does not.
    progress : callable, optional
        Called now and then as `progress(done, total)`.

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
    """How many of the requests of a trace were found in a memory above a store."""

    requests: int
    first_hits: int
    """By the memory."""
    hits: int
    """By both."""
    first_lru_hits: int
    """By an LRU as large as the memory."""
    lru_hits: int
    """By an LRU as large as the store."""


def replay_two_tiers(trace: Trace, size: int, below: int, *, progress: Progress = None) -> TwoTiers:
    """Ask a `Cache` of a memory tier above a store for every key of a trace, and put what is not there.

    Parameters
    ----------
    trace : Trace
        Without sizes.
    size, below : int
        Keys that the memory and the store have room for.
    progress : callable, optional
        Called now and then as `progress(done, total)`.

    Returns
    -------
    TwoTiers

    Raises
    ------
    InvalidInputError
        The trace tells sizes.
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
    """Hits of the first tier, and of both."""
    value = bytes(_SMALL)
    first = size * _entry(Memory(1 << 20), value)
    second = below * _entry(Store(directory / "measure", 1 << 20), value)
    with Cache([Memory(first), Store(directory / "store", second)], write="back") as cache:
        for request, _ in requests:
            # Put, not loaded, since what takes long to load stays longer; and moved at once, whatever time that takes.
            if cache.get(keys[request]) is None:
                cache[keys[request]] = value
            cache.wait_idle()
        memory, store = (tier["hits"] for tier in cache.stats()["tiers"])
    return memory, memory + store


def _entry(tier: Tier, value: bytes) -> int:
    """Bytes that an entry of a cache takes in a tier."""
    with Cache([tier]) as cache:
        # A record of the namespace comes with the first value.
        cache[bytes(8)] = value
        before = tier.bytes
        cache[b"another."] = value
        return tier.bytes - before


def _told(order: list[int], sizes: list[int], done: int, total: int, progress: Progress) -> Iterator[tuple[int, int]]:
    """Requests and their sizes, with reports of progress in between."""
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
            # The tier would refuse it: a trace may tell of sizes that there is no memory for.
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
