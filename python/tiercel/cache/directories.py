"""Which kind of tier has its files in a directory."""

from pathlib import Path
from typing import Final, Literal, TypeAlias

__all__ = ["TierKind", "beginning", "has_log", "tier_kind_in"]

TierKind: TypeAlias = Literal["Store", "Files"]

# Where each kind has its log.
_LOGS: Final[dict[str, TierKind]] = {".": "Store", "ledger": "Files"}
# What a record of syncs begins with, in either of its two sectors.
_SYNCED, _SECTOR = b"TCLS", 512
# What a file of a log begins with.
_TIER_LOG: Final = b"TCLG"


def tier_kind_in(directory: Path) -> TierKind | None:
    """The kind of tier that has its files there, be they damaged; `None` if none has."""
    return next((kind for name, kind in _LOGS.items() if _is_log_of_tier(directory / name)), None)


def _is_log_of_tier(directory: Path) -> bool:
    synced = beginning(directory / "synced", _SECTOR + len(_SYNCED))
    return _SYNCED in (synced[: len(_SYNCED)], synced[_SECTOR:]) or has_log(directory, _TIER_LOG)


def has_log(directory: Path, magic: bytes) -> bool:
    """Whether a file of a log in a directory begins so."""
    return any(beginning(file, len(magic)) == magic for file in directory.glob("log-*") if file.name[4:].isdecimal())


def beginning(file: Path, size: int) -> bytes:
    """The first bytes of a file; none if it is no file or cannot be read."""
    try:
        # A pipe of this name would wait for somebody to write.
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            return content.read(size)
    except OSError:
        # Not ours to read.
        return b""
