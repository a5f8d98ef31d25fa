"""Opening a collection."""

import os
from pathlib import Path
from typing import Final, Literal

from tiercel._core import CollectionCore
from tiercel.checks import cores, number, path_name, unicode_text, whole
from tiercel.collection import Collection
from tiercel.embed import Embedder, check_embedder
from tiercel.errors import InvalidInputError
from tiercel.schema import Schema, names_of_types

__all__ = ["open"]

_DURABILITIES: Final = ("always", "interval", "none")
_METRICS: Final = ("cosine", "dot", "l2")
_MODES: Final = ("rw", "r")


def open(  # noqa: A001
    path: str | os.PathLike[str],
    dim: int | None = None,
    metric: Literal["cosine", "dot", "l2"] | None = None,
    *,
    embedder: Embedder | None = None,
    schema: Schema | None = None,
    durability: Literal["always", "interval", "none"] = "always",
    mode: Literal["rw", "r"] = "rw",
    follow: float | None = None,
    language: str | None = "default",
    threads: int | None = None,
) -> Collection:
    """Open the collection in a directory; a new one is made if the directory is empty or missing, unless `mode` is "r".

    Parameters
    ----------
    path
        The directory.
    dim
        Length of every vector, fixed when the collection is made; without it the collection has no vectors.
    metric
        What is smallest for the nearest: "cosine" (unless given), "dot" or "l2"; fixed when the collection is made.
    embedder
        Makes vectors of texts, see `tiercel.embed`; `dim` is its `dim`. Its fingerprint is fixed when the collection is made. A
        collection with embedder may be opened without: then it takes and searches vectors that were made elsewhere.
    schema
        Types of fields of the metadata, as in `{"year": int, "tags": list[str], "author.name": str}`, see `tiercel.schema`; fixed when
        the collection is made. Metadata that do not agree are refused, and so are filters that compare a field with another type.
    durability
        What a write waits for. "always": it is on disk, safe from power loss. "interval": the system has it, safe from a crash of the
        process; it is on disk within 100 ms, and power loss takes at most that. "none": as "interval", but the system decides when it is on
        disk. Nothing leaves a part of a batch.
    mode
        "rw": to read and write, by one process at a time. "r": to read alone, by any number of processes, while another one may write.
        Such a reader takes no lock, changes nothing in the directory and refuses writes. It shows every write that was acknowledged
        before it was opened; `Collection.refresh` adds those that came later.
    follow
        With `mode="r"`: seconds between refreshes that a thread in the background makes, 0.001 to 86400. Without it, a reader
        refreshes only when it is told to.
    language
        Language of the texts: it says which stems words have, which words tell too little to be indexed, and what their case is. "english"
        unless given; `None` for all words as they are. Case, and forms of one letter (NFKC), never make a difference.
    threads
        Threads of the work in the background; by default all cores that this process may use.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be, the collection was made with another one, or the directory holds other files and no
        collection.
    MissingFileError
        There is no collection to read, with `mode="r"`.
    AlreadyOpenError
        Another process or object has it open.
    CorruptionError
        A file is damaged, missing, older than the others, or of another collection. Nothing in the directory was changed, but `LOCK` is made if it is missing.
    StorageFailedError
        The directory cannot be read or written.
    """
    # The program may change its directory while the collection is open.
    name = str(Path(path_name(path, "path")).absolute())
    if metric is not None and metric not in _METRICS:
        raise InvalidInputError(f"metric: expected 'cosine' or 'dot' or 'l2', got {metric!r}")
    if durability not in _DURABILITIES:
        raise InvalidInputError(f"durability: expected 'always' or 'interval' or 'none', got {durability!r}")
    if mode not in _MODES:
        raise InvalidInputError(f"mode: expected 'rw' or 'r', got {mode!r}")
    if follow is not None:
        if mode != "r":
            raise InvalidInputError(f"follow: expected None unless mode is 'r', got {follow!r}")
        follow = number(follow, "follow", 0.001, 86400.0)
    if language is not None:
        unicode_text(language, "language")
    if embedder is not None:
        dim = check_embedder(embedder, dim)
    core = CollectionCore(
        name,
        None if dim is None else whole(dim, "dim", 1, 32768),
        metric,
        None if language == "default" else (language, language),
        None if embedder is None else embedder.fingerprint,
        durability,
        cores() if threads is None else whole(threads, "threads", 1, 1024),
        mode == "r",
        None if schema is None else names_of_types(schema),
    )
    if embedder is not None and core.fingerprint is None:
        # Nobody knows what made the vectors that are there.
        core.close()
        raise InvalidInputError("embedder: expected none, as the collection was made, got " + embedder.fingerprint)
    if follow is not None:
        core.follow(follow)
    return Collection._opened(name, mode, core, embedder)  # pyright: ignore[reportPrivateUsage]
