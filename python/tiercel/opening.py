"""Opening a collection."""

import os
from contextlib import nullcontext
from typing import Final, Literal

from tiercel._core import CollectionCore
from tiercel.beginnings import COLLECTION_LOG, nothing_left
from tiercel.checks import number, unicode_text, whole
from tiercel.collection import Collection
from tiercel.embed import Embedder, check_embedder
from tiercel.errors import InvalidInputError
from tiercel.paths import absolute, path_name
from tiercel.places import telling_where
from tiercel.policy.cores import cores
from tiercel.schema import Schema, names_of_types
from tiercel.trouble import tell
from tiercel.writers import remember, telling_who_writes

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
    create: bool = True,
    language: str | None = "default",
    threads: int | None = None,
) -> Collection:
    """Open the collection in a directory, or make a new one there.

    Parameters
    ----------
    path
        The directory, a `str` or `os.PathLike`; a leading `~` is a home directory.
    dim
        Length of every vector. Without it, the first vectors that are put in decide.
    metric
        What is smallest for the nearest: "cosine" (unless given), "dot" or "l2"; fixed when the collection is made.
    embedder
        Makes vectors of texts, see `tiercel.embed`; `dim` is its `dim`. A collection keeps the fingerprint of its embedder, which can be
        given for as long as there are no vectors. A collection with an embedder may be opened without: then it takes and searches vectors
        that were made elsewhere, a text is searched by words alone, and texts without vectors are refused.
    schema
        Types of fields of the metadata, as in `{"year": int, "tags": list[str], "author.name": str}`, see `tiercel.schema`. Metadata that
        do not agree are refused, and so are filters that name another field or compare a field with another type. The collection
        keeps its schema. A later call can leave it out, or give it with more fields: then every record is checked first.
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
    create
        Make the directory, those above it and a new collection if the directory is missing or empty. False refuses that, so that a mistyped
        path is an error. With `mode="r"` nothing is ever made.
    language
        Language of the texts: it says which stems words have, which words tell too little to be indexed, and what their case is. "english"
        unless given; `None` for all words as they are. Case, and forms of one letter (NFKC), never make a difference.
    threads
        Threads of the work in the background; by default all cores that this process may use.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be, the collection was made with another one, a record does not agree with a schema that is
        added, or the directory holds other files and no collection. Nothing was changed.
    MissingFileError
        There is no collection, with `create=False` or `mode="r"`.
    AlreadyOpenError
        Another process has it open to write, or this one; the message says which.
    CorruptionError
        A file is damaged, missing, older than the others, or of another collection. Nothing in the directory was changed, but `LOCK` is made if it is missing.
    StorageFailedError
        The directory cannot be read or written. A collection that cannot be made leaves nothing of itself: neither files nor directories.
    """
    # The program may change its directory while the collection is open.
    name = absolute(path_name(path, "path"))
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
    if create not in (True, False):
        raise InvalidInputError(f"create: expected True or False, got {create!r}")
    if embedder is not None:
        dim = check_embedder(embedder, dim)
    makes = nothing_left(name, COLLECTION_LOG) if create and mode == "rw" else nullcontext()
    with telling_where(name), telling_who_writes(name), makes:
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
            bool(create),
        )
    if follow is not None:
        core.follow(follow)
    if embedder is None and core.fingerprint is not None:
        tell(
            name,
            [(False, f"opened without its embedder {core.fingerprint!r}: texts are searched by words alone")],
            [],
            False,
        )
    collection = Collection._opened(name, mode, core, embedder)  # pyright: ignore[reportPrivateUsage]
    remember(collection)
    return collection
