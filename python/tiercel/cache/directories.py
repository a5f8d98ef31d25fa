"""Recognizes the directory of a tier, and its kind."""

from pathlib import Path
from typing import Final, Literal, TypeAlias

__all__ = ["TierKind", "beginning", "has_log", "tier_kind_in"]

TierKind: TypeAlias = Literal["Store", "Files"]

# The directory of the log, by kind.
_LOGS: Final[dict[str, TierKind]] = {".": "Store", "ledger": "Files"}
# The magic of the record of syncs, which may be in either of its two sectors.
_SYNCED, _SECTOR = b"TCLS", 512
# The magic of a log file.
_TIER_LOG: Final = b"TCLG"


def tier_kind_in(directory: Path) -> TierKind | None:
    """Return the kind of tier in a directory, damaged or not, or `None`."""
    return next((kind for name, kind in _LOGS.items() if _is_log_of_tier(directory / name)), None)


def _is_log_of_tier(directory: Path) -> bool:
    synced = beginning(directory / "synced", _SECTOR + len(_SYNCED))
    return _SYNCED in (synced[: len(_SYNCED)], synced[_SECTOR:]) or has_log(directory, _TIER_LOG)


def has_log(directory: Path, magic: bytes) -> bool:
    """Whether any log file in a directory begins with this magic."""
    return any(beginning(file, len(magic)) == magic for file in directory.glob("log-*") if file.name[4:].isdecimal())


def beginning(file: Path, size: int) -> bytes:
    """Read the first bytes of a file. Return no bytes if it is unreadable or not a regular file."""
    try:
        # Opening a pipe would wait for a writer.
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            return content.read(size)
    except OSError:
        # The file is not ours to read.
        return b""
