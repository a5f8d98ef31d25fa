"""Shared code of the commands on collections."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tiercel
from tiercel import Collection, InvalidInputError, TiercelError
from tiercel.cli.answer import size
from tiercel.cli.interrupts import interruptible, leave
from tiercel.schema import names_of_types


@contextmanager
def open_collection(directory: str, **options: Any) -> Generator[Collection]:
    """Open a collection to write. A mistyped name must not create a new one."""
    with _opened(directory, create=False, **options) as collection:
        yield collection


@contextmanager
def open_to_read(directory: str, **options: Any) -> Generator[Collection]:
    """Open a collection without changing its directory.

    This works beside a writer, and without permission to write.
    """
    with _opened(directory, mode="r", **options) as collection:
        yield collection


@contextmanager
def _opened(directory: str, **options: Any) -> Generator[Collection]:
    if Path(directory).is_file():
        raise InvalidInputError(
            f"DIR: expected a collection, got the file {directory}; tiercel search and tiercel info read a saved index"
        )
    try:
        opened = interruptible(lambda: tiercel.open(directory, **options))
    except FileNotFoundError as error:
        raise InvalidInputError(f"DIR: expected a collection, got {directory}, which is not one") from error
    with closing(opened) as collection:
        yield collection


@contextmanager
def closing(collection: Collection) -> Generator[Collection]:
    """Close a collection at the end, but not after Ctrl-C.

    Everything written is then on disk, and closing would take seconds.
    """
    try:
        yield collection
    except KeyboardInterrupt:
        leave(collection)
        raise
    except BaseException:
        # The first error is the one to report.
        with suppress(TiercelError, OSError):
            collection.close()
        raise
    interruptible(collection.close)


def describe(collection: Collection, directory: str) -> dict[str, Any]:
    """Describe a collection for `--json`. The directory is named as on the command line."""
    return {
        "directory": directory,
        "dim": collection.dim,
        "metric": collection.metric,
        "storage": collection.storage,
        "language": collection.language,
        "embedder": collection.fingerprint,
        "schema": dict(names_of_types(collection.schema)),
        "mode": collection.mode,
        "stats": collection.stats(),
    }


def collection_lines(document: dict[str, Any]) -> list[str]:
    """Describe a collection for people."""
    stats = document["stats"]
    vectors = "none" if document["dim"] is None else f"dim {document['dim']}, {document['metric']}"
    lines = [
        f"records      {stats['records']:,}",
        f"vectors      {vectors}; embedder {document['embedder'] or 'none'}",
        f"storage      {document['storage']}{_in_use(stats['storage'])}",
        f"language     {document['language'] or 'none'}",
        f"on disk      {_sizes(stats['disk'])}",
        f"in memory    {_sizes(stats['memory'])}",
    ]
    if document["schema"]:
        lines.append(f"schema       {', '.join(f'{field}: {name}' for field, name in document['schema'].items())}")
    return lines + ([f"trouble      {stats['trouble']['message']}"] if stats["trouble"] else [])


def _in_use(codes: str | None) -> str:
    return "; nothing is coded yet" if codes in {None, "none"} else f"; {codes} in use"


def _sizes(parts: dict[str, int]) -> str:
    return ", ".join(f"{part} {size(count)}" for part, count in parts.items() if count) or "nothing"
