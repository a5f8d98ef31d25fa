"""Opening a collection."""

import os
from contextlib import nullcontext
from typing import Final, Literal

from tiercel._core import CollectionCore
from tiercel.beginnings import COLLECTION_LOG, nothing_left
from tiercel.checks import choice, number, shown, unicode_text, whole
from tiercel.collection import Collection
from tiercel.embed import Embedder, check_embedder
from tiercel.errors import InvalidInputError
from tiercel.paths import absolute, path_name
from tiercel.places import telling_where
from tiercel.room import check_room_to_open
from tiercel.schema import Schema, names_of_types
from tiercel.threads import thread_count
from tiercel.trouble import tell
from tiercel.writers import remember, telling_who_writes

__all__ = ["open"]

_METRICS: Final = ("cosine", "dot", "l2")
_CHOICES: Final = {
    "durability": ("always", "interval", "none"),
    "mode": ("rw", "r"),
    "raw": ("memory", "disk"),
    "rerank": ("full", "f16", "none"),
}


def open(  # noqa: A001
    path: str | os.PathLike[str],
    dim: int | None = None,
    metric: Literal["cosine", "dot", "l2"] | None = None,
    *,
    embedder: Embedder | None = None,
    schema: Schema | None = None,
    storage: str | None = None,
    raw: Literal["memory", "disk"] = "memory",
    rerank: Literal["full", "f16", "none"] = "full",
    durability: Literal["always", "interval", "none"] = "always",
    mode: Literal["rw", "r"] = "rw",
    follow: float | None = None,
    create: bool = True,
    language: str | None = "default",
    threads: int | None = None,
) -> Collection:
    """Open the collection in a directory, or create it.

    Parameters
    ----------
    path
        The directory, a `str` or `os.PathLike`; a leading `~` means a home directory.
    dim
        Length of every vector. By default, the first vectors decide.
    metric
        The distance: "cosine" (default), "dot" or "l2". Fixed when the collection is created.
    embedder
        Turns texts into vectors, see `tiercel.embed`; `dim` is then its `dim`. The collection
        stores its fingerprint. You can add an embedder as long as there are no vectors. If you open
        the collection without its embedder, it stores and searches vectors from elsewhere, searches
        texts by words only, and refuses texts without vectors.
    schema
        Types of metadata fields, such as `{"year": int, "tags": list[str], "author.name": str}`,
        see `tiercel.schema`. Metadata that disagree are refused, and so are filters that name
        another field or compare a field with another type. The collection stores its schema. Later
        calls may omit it, or add fields: every record is then checked first.
    storage
        Codes that searches by vector compare, by the names of `tiercel.Index`: "auto" (default),
        "sq4", "sq8", "rabitq1" to "rabitq4", "f16", "bf16", "raw", or a name with parts such as
        "pq48x8". They take effect in graphs, beyond 1,024 vectors. The collection stores
        the name; later calls may omit it, and `Collection.compact` can change it.
    raw
        Where full vectors are until the collection is closed: in "memory", or on "disk", from where a
        search reads those of its candidates. The collection does not store it. With "disk", those of
        graphs stay in the file of the last checkpoint, or, while they are newer, in an unnamed
        file beside it; searches compare codes, so `storage` cannot be "raw".
    rerank
        What searches by vector compare the best candidates of graphs with once more until the
        collection is closed: "full" vectors, a copy of them in "f16" (half precision) in memory, or
        "none", where distances are those of codes. The collection does not store it. With "f16",
        vectors that half precision cannot hold are refused: values beyond 65,504, and under "cosine"
        vectors that become zero.
    durability
        What a write waits for. "always": it is on disk, safe from power loss. "interval": the
        system has it, safe from a crash of the process, and it reaches the disk within 100 ms and the
        time of the syncs before it; collections of one process sync two at a time.
        "none": as "interval", but the system decides when it reaches the disk. No mode ever leaves
        part of a batch.
    mode
        "rw": read and write; one process at a time. "r": only read; any number of processes, beside
        the writer. A reader takes no lock, changes nothing in the directory and refuses writes. It
        shows every write that was acknowledged before it was opened; `Collection.refresh` adds
        later ones.
    follow
        With `mode="r"`: seconds between refreshes in the background, 0.001 to 86400. By default, a
        reader refreshes only when told to.
    create
        Create the collection, its directory and missing parents if the directory is missing or
        empty. With False, that is an error, which catches mistyped paths. `mode="r"` never creates
        anything.
    language
        Language of the texts, for stemming, stop words and case; "english" by default. `None` takes
        words as they are. Case and variants of a letter (NFKC) never make a difference.
    threads
        Threads for background work; by default all cores that this process may use. More than 1,024
        count as 1,024.

    Raises
    ------
    InvalidInputError
        An argument is invalid or differs from what the collection was created with, `raw` is "disk"
        although searches compare full vectors, `rerank` is "f16" although half precision cannot hold
        a vector, a record disagrees with an added schema, or the directory contains other files and no
        collection. Nothing was changed.
    MissingFileError
        There is no collection, with `create=False` or `mode="r"`.
    AlreadyOpenError
        Another process, or this one, has the collection open for writing; the message says which.
    CorruptionError
        A file is damaged, missing, older than the others, or of another collection. Nothing in the
        directory was changed, except that a missing `LOCK` is created.
    MemoryError
        The graphs do not fit into the memory that this process may still have, by the limits of its
        control group among others. Nothing was read.
    StorageFailedError
        The directory cannot be read or written. A failed creation leaves neither files nor
        directories behind.
    """
    # The program may change its working directory while the collection is open.
    name = absolute(path_name(path, "path"))
    if metric is not None:
        choice(metric, "metric", _METRICS)
    for argument, value in (("durability", durability), ("mode", mode), ("raw", raw), ("rerank", rerank)):
        choice(value, argument, _CHOICES[argument])
    follow = _interval(follow, mode)
    if language is not None:
        unicode_text(language, "language")
    if not isinstance(create, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"create: expected True or False, got {shown(create)}")
    if embedder is not None:
        dim = check_embedder(embedder, dim)
    check_room_to_open(name, raw)
    makes = nothing_left(name, COLLECTION_LOG) if create and mode == "rw" else nullcontext()
    with telling_where(name), telling_who_writes(name), makes:
        core = CollectionCore(
            name,
            None if dim is None else whole(dim, "dim", 1, 32768),
            metric,
            None if language == "default" else (language, language),
            None if embedder is None else embedder.fingerprint,
            durability,
            thread_count(threads),
            mode == "r",
            None if schema is None else names_of_types(schema),
            create,
            storage,
            raw,
            rerank,
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


def _interval(follow: float | None, mode: str) -> float | None:
    """Check the seconds between refreshes."""
    if follow is None:
        return None
    if mode != "r":
        raise InvalidInputError(f"follow: expected None unless mode is 'r', got {shown(follow)}")
    return number(follow, "follow", 0.001, 86400.0)
