"""Which directories hold a collection or a tier of a cache."""

from pathlib import Path

from tiercel.cache import Files, Store

# The database of records, without which a directory is no collection, and what its header has at its place.
RECORDS = "records"
_RECORDS_MAGIC, _RECORDS_AT = b"TIERCELR", 320
# Where each kind of tier has its log.
_LOGS: dict[str, type[Store | Files]] = {".": Store, "ledger": Files}
# What a record of syncs begins with, in either of its two sectors.
_SYNCED, _SECTOR = b"TCLS", 512
# What a file of a log begins with, of a tier and of a collection.
_TIER_LOG, _COLLECTION_LOG = b"TCLG", b"TIERCELL"


def store_around(path: Path) -> Path | None:
    """The collection or tier whose directory is `path` or holds it, however deep."""
    path = path.resolve()
    return next((directory for directory in (path, *path.parents) if is_store(directory)), None)


def is_store(directory: Path) -> bool:
    """Whether this is the directory of a collection or of a tier, be it damaged."""
    return _is_collection(directory) or tier_kind(directory) is not None


def tier_kind(directory: Path) -> type[Store | Files] | None:
    """What kind of tier has its files in a directory, be they damaged; `None` if none has."""
    return next((kind for name, kind in _LOGS.items() if _is_log_of_tier(directory / name)), None)


def is_ledger(directory: Path) -> bool:
    """Whether this is a part of a directory of `Files`."""
    whole = directory.resolve()
    return whole.name == "ledger" and (whole.parent / "blobs").is_dir()


def _is_collection(directory: Path) -> bool:
    found = _beginning(directory / RECORDS, _RECORDS_AT + len(_RECORDS_MAGIC))
    return found[_RECORDS_AT:] == _RECORDS_MAGIC or _has_log(directory, _COLLECTION_LOG)


def _is_log_of_tier(directory: Path) -> bool:
    synced = _beginning(directory / "synced", _SECTOR + len(_SYNCED))
    return _SYNCED in (synced[: len(_SYNCED)], synced[_SECTOR:]) or _has_log(directory, _TIER_LOG)


def _has_log(directory: Path, magic: bytes) -> bool:
    return any(_beginning(file, len(magic)) == magic for file in directory.glob("log-*") if file.name[4:].isdecimal())


def _beginning(file: Path, size: int) -> bytes:
    try:
        # A pipe of this name would wait for somebody to write.
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            return content.read(size)
    except OSError:
        # Not ours to read.
        return b""
