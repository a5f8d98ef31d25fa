"""What the commands on collections share."""

from pathlib import Path
from typing import Any

import tiercel
from tiercel import Collection, InvalidInputError
from tiercel.cli.answer import size

# The database of records, without which a directory is no collection.
_RECORDS = "records"


def open_collection(directory: str) -> Collection:
    """Open a collection that is there: a mistyped name must not make a new one."""
    if not (Path(directory) / _RECORDS).is_file():
        raise InvalidInputError(f"DIR: expected a collection, got {directory}, which is none")
    return tiercel.open(directory)


def describe(collection: Collection) -> dict[str, Any]:
    """A collection as `--json` shows it."""
    return {
        "directory": collection.path,
        "dim": collection.dim,
        "metric": collection.metric,
        "embedder": collection.fingerprint,
        "stats": collection.stats(),
    }


def collection_lines(document: dict[str, Any]) -> list[str]:
    """A collection for people."""
    stats = document["stats"]
    vectors = "none" if document["dim"] is None else f"dim {document['dim']}, {document['metric']}"
    lines = [
        f"records      {stats['records']:,}",
        f"vectors      {vectors}; embedder {document['embedder'] or 'none'}",
        f"on disk      {_sizes(stats['disk'])}",
        f"in memory    {_sizes(stats['memory'])}",
    ]
    return lines + ([f"trouble      {stats['trouble']}"] if stats["trouble"] else [])


def _sizes(parts: dict[str, int]) -> str:
    return ", ".join(f"{part} {size(count)}" for part, count in parts.items() if count) or "nothing"
