"""Which directories hold a collection or a tier of a cache."""

from pathlib import Path

from tiercel.cache import Files, Store
from tiercel.cache.directories import TierKind, beginning, has_log, tier_kind_in

# The database of records, without which a directory is no collection, and what its header has at its place.
RECORDS = "records"
_RECORDS_MAGIC, _RECORDS_AT = b"TIERCELR", 320
_KINDS: dict[TierKind, type[Store | Files]] = {"Store": Store, "Files": Files}
# What a file of a log of a collection begins with.
_COLLECTION_LOG = b"TIERCELL"


def store_around(path: Path) -> Path | None:
    """The collection or tier whose directory is `path` or holds it, however deep."""
    path = path.resolve()
    return next((directory for directory in (path, *path.parents) if is_store(directory)), None)


def is_store(directory: Path) -> bool:
    """Whether this is the directory of a collection or of a tier, be it damaged."""
    return _is_collection(directory) or tier_kind(directory) is not None


def tier_kind(directory: Path) -> type[Store | Files] | None:
    """What kind of tier has its files in a directory, be they damaged; `None` if none has."""
    kind = tier_kind_in(directory)
    return None if kind is None else _KINDS[kind]


def is_ledger(directory: Path) -> bool:
    """Whether this is a part of a directory of `Files`."""
    whole = directory.resolve()
    return whole.name == "ledger" and (whole.parent / "blobs").is_dir()


def _is_collection(directory: Path) -> bool:
    found = beginning(directory / RECORDS, _RECORDS_AT + len(_RECORDS_MAGIC))
    return found[_RECORDS_AT:] == _RECORDS_MAGIC or has_log(directory, _COLLECTION_LOG)
