"""Recognizes the directories of collections and of tiers."""

from pathlib import Path

from tiercel.cache import Files, Store
from tiercel.cache.directories import TierKind, beginning, has_log, tier_kind_in

# The database of records, the magic in its header, and the offset of that magic.
RECORDS = "records"
_RECORDS_MAGIC, _RECORDS_AT = b"TIERCELR", 320
_KINDS: dict[TierKind, type[Store | Files]] = {"Store": Store, "Files": Files}
# The magic of a log file of a collection.
_COLLECTION_LOG = b"TIERCELL"


def store_around(path: Path) -> Path | None:
    """Return the directory of the collection or tier that `path` is or lies in, at any depth."""
    path = path.resolve()
    return next((directory for directory in (path, *path.parents) if is_store(directory)), None)


def is_store(directory: Path) -> bool:
    """Whether this is the directory of a collection or of a tier, even a damaged one."""
    return _is_collection(directory) or tier_kind(directory) is not None


def tier_kind(directory: Path) -> type[Store | Files] | None:
    """Return the kind of tier in a directory, even a damaged one, or `None`."""
    kind = tier_kind_in(directory)
    return None if kind is None else _KINDS[kind]


def is_ledger(directory: Path) -> bool:
    """Whether this is the ledger within a directory of `Files`."""
    whole = directory.resolve()
    return whole.name == "ledger" and (whole.parent / "blobs").is_dir()


def _is_collection(directory: Path) -> bool:
    found = beginning(directory / RECORDS, _RECORDS_AT + len(_RECORDS_MAGIC))
    return found[_RECORDS_AT:] == _RECORDS_MAGIC or has_log(directory, _COLLECTION_LOG)
