"""Whether there is memory for work that takes much of it.

Linux kills a process whose control group runs out of memory. Work that would lead there is refused
before it begins.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tiercel._core import CollectionCore
from tiercel.policy import cgroup, system

_LITTLE: Final = 64 << 20
"""Bytes that are not worth asking the system about."""
_VALUE: Final = 4
"""Bytes of a value of a vector."""
_STEP: Final = 16 << 20
"""Bytes of vectors after which a writer asks again."""
_MOVED: Final = 48 << 20
"""Bytes of vectors that the background links at a time."""
_COPIES: Final = 3
"""Copies held meanwhile: the growing segments, the batch, and what older searches still share."""


def check_room_to_open(directory: str, raw: str) -> None:
    """Raise `MemoryError` if a collection does not fit into memory.

    The files of its graphs are about as large as they are in memory, and so are the vectors in its
    log. With full vectors on disk, a collection takes far less, and nothing is checked.
    """
    if raw == "disk":
        return
    try:
        graphs, log = (
            sum(file.stat().st_size for file in Path(directory).glob(names)) for names in ("index-*.seg", "log-*")
        )
    except OSError:
        # The directory cannot be listed. Opening it will raise the proper error.
        return
    if _is_missing(graphs + log + _to_link(log)):
        # A crash may have left files that no checkpoint names. Count only the named ones.
        graphs = CollectionCore.graph_bytes(directory)
    _check(graphs + log + _to_link(log), "opening the collection", "with raw='disk', full vectors stay in the file")


def check_room_to_compact(needed: int) -> None:
    """Raise `MemoryError` if a compaction needs more memory than this process may still have."""
    _check(needed, "compacting the collection", "opened with raw='disk', it needs less")


class RoomToWrite:
    """Whether there is memory for more vectors, asked once in a while."""

    __slots__ = ("_since", "_written")

    def __init__(self) -> None:
        self._since = self._written = 0

    def check(self, values: int, link: Callable[[], None]) -> None:
        """Raise `MemoryError` if this process may not have enough for vectors of this many values.

        `link` puts those that were written before into graphs, which frees memory.
        """
        size = values * _VALUE
        self._since += size
        self._written += size
        if size > 0 and self._since >= _STEP:
            needed = size + _to_link(self._written)
            if _is_missing(needed):
                link()
                _check(needed, "writing vectors", "with raw='disk', only their codes and links stay in memory")
            self._since = 0


def _to_link(size: int) -> int:
    """Return how much it takes to put this many bytes of vectors into graphs, beyond what stays."""
    return _COPIES * min(size, _MOVED)


def _free() -> float:
    """Return the bytes that this process may still have."""
    _, free = system.memory()
    return min((limit for limit in (free, cgroup.memory_available()) if limit is not None), default=math.inf)


def _is_missing(needed: int) -> bool:
    return needed >= _LITTLE and _free() < needed


def _check(needed: int, what: str, advice: str) -> None:
    if _is_missing(needed):
        sizes = f"expected {needed / 1e9:.2f} GB of free memory, got {_free() / 1e9:.2f} GB"
        raise MemoryError(f"{what}: {sizes}; {advice}")
