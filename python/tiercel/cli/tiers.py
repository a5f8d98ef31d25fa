"""Shared code of the commands on tiers of a cache."""

import errno
from pathlib import Path

from tiercel._core import TierLook
from tiercel.cache import Files, Store
from tiercel.cli.interrupts import interruptible
from tiercel.cli.progress import progress
from tiercel.cli.stores import is_ledger, tier_kind
from tiercel.errors import InvalidInputError, StorageFailedError


def look(directory: str) -> TierLook:
    """Read a tier without changing it."""
    kind = _kind(directory)
    return interruptible(lambda: TierLook(directory, kind is Files))


def damage(directory: str) -> tuple[int, int]:
    """Return how many values a tier has, and how many values and other parts are damaged."""
    found = look(directory)
    damaged = found.damaged
    with progress("verifying") as report:
        for number in range(found.entries):
            damaged += not found.is_whole(number)
            if report is not None:
                report(number + 1, found.entries)
    return found.entries, damaged


def open_tier(directory: str) -> Store | Files:
    """Open a tier with enough room to evict nothing."""
    # The room is divided into at most 16 parts, and an entry may take only a share of one. Files
    # count in whole blocks, however small they are.
    files = sum(file.is_file() for file in Path(directory).rglob("*"))
    return _kind(directory)(directory, max(64 * (file_bytes_of(directory) + (8 << 10) * files), 1 << 20))


def file_bytes_of(directory: str) -> int:
    """Return the bytes of all files of a tier."""
    return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())


def check_failures(tier: Store | Files, directory: str) -> None:
    """Raise `StorageFailedError` if the disk has refused anything since the tier was opened."""
    if tier.stats()["failures"] > 0:
        raise StorageFailedError(errno.EIO, "a file could not be read or written", directory)


def _kind(directory: str) -> type[Store | Files]:
    if is_ledger(Path(directory)):
        raise InvalidInputError(f"DIR: expected a directory of tiercel.cache, got the ledger of one, {directory}")
    kind = tier_kind(Path(directory))
    if kind is None:
        raise InvalidInputError(f"DIR: expected a directory of tiercel.cache, got {directory}")
    return kind
