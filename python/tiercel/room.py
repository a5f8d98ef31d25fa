"""Whether there is memory for work that takes much of it.

Linux kills a process whose control group runs out of memory. Work that would lead there is refused
before it begins.
"""

from pathlib import Path
from typing import Final

from tiercel.policy import cgroup, system

_LITTLE: Final = 64 << 20
"""Bytes that are not worth asking the system about."""


def check_room_to_open(directory: str, raw: str) -> None:
    """Raise `MemoryError` if the graphs of a collection do not fit into memory.

    Their files are about as large as they are in memory. With full vectors on disk they take far
    less, and nothing is checked.
    """
    if raw == "disk":
        return
    try:
        needed = sum(file.stat().st_size for file in Path(directory).glob("index-*.seg"))
    except OSError:
        # Opening tells what is wrong.
        return
    _check(needed, "opening the collection", "with raw='disk', full vectors stay in the file")


def check_room_to_compact(needed: int) -> None:
    """Raise `MemoryError` if a compaction needs more memory than this process may still have."""
    _check(needed, "compacting the collection", "opened with raw='disk', it needs less")


def _check(needed: int, what: str, advice: str) -> None:
    if needed < _LITTLE:
        return
    _, free = system.memory()
    limits = [limit for limit in (free, cgroup.memory_available()) if limit is not None]
    if limits and min(limits) < needed:
        sizes = f"expected {needed / 1e9:.2f} GB of free memory, got {min(limits) / 1e9:.2f} GB"
        raise MemoryError(f"{what}: {sizes}; {advice}")
