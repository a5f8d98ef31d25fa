"""Directories written by tiercel that hostile files replace, and every possible use of them."""

import lzma
import math
import random
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from mutate import Tree

import tiercel
from tiercel.cache import Cache, Files, Memory, Store

OLD = Path(__file__).parents[2] / "tests" / "data"

# Do one thing, and count an error of tiercel as an answer.
Attempt: TypeAlias = Callable[[Callable[[], Any]], Any]


class Subject(NamedTuple):
    """A kind of directory."""

    name: str
    make: Callable[[Path], None]
    """Write one to a missing directory."""
    use: Callable[[Path, Attempt], None]
    """Use one in every way; all writes must be in it or in a directory `aside` beside it."""


class WrongAnswerError(Exception):
    """An answer that cannot be right."""


def expect(right: bool, what: str) -> None:
    """Raise if an answer is not right."""
    if not right:
        raise WrongAnswerError(what)


def tree(directory: Path) -> Tree:
    """Read the files of a directory."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def write(files: Tree, directory: Path) -> None:
    """Write files to a directory."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# Collections

_DIM = 8


def _records(first: int, count: int, dim: int = _DIM) -> dict[str, Any]:
    rows = range(first, first + count)
    return {
        "ids": [f"id-{row}" for row in rows],
        "vectors": np.random.default_rng(first).standard_normal((count, dim)),
        "texts": [f"text of number {row} about {['cats', 'dogs', 'birds'][row % 3]}" for row in rows],
        "metadata": [{"number": row, "kind": ["a", "b"][row % 2]} for row in rows],
    }


def _checkpointed(path: Path) -> None:
    with tiercel.open(path, dim=_DIM) as collection:
        collection.upsert(**_records(0, 300))
        collection.delete(["id-7"])
        collection.checkpoint()
        collection.upsert(**_records(290, 20))


def _logged(path: Path) -> None:
    with tempfile.TemporaryDirectory() as aside:
        source = Path(aside) / "open"
        with tiercel.open(source, dim=_DIM) as collection:
            collection.upsert(**_records(0, 60))
            collection.update_metadata(["id-3"], [{"number": 1}])
            collection.delete(["id-4"])
            # As a killed process leaves it: everything is in the log.
            write({name: data for name, data in tree(source).items() if name != "LOCK"}, path)


def _old_collection(path: Path) -> None:
    with tarfile.open(OLD / "collection-v1.tar.xz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        for member in members:
            member.name = Path(member.name).name
        archive.extractall(path, members, filter="data")


def _read(collection: tiercel.Collection, attempt: Attempt) -> None:
    vector = np.ones(collection.dim or _DIM)

    def count() -> None:
        scanned = [match.id for match in collection.scan(limit=100_000)]
        expect(len(scanned) == len(set(scanned)), "scan: an id twice")

    def search(**query: Any) -> None:
        found = collection.search(**query, k=20)
        scores = [match.score for match in found]
        expect(not any(math.isnan(score) for score in scores), "search: a score that is NaN")
        expect(len({match.id for match in found}) == len(scores), "search: an id twice")

    attempt(collection.count)
    attempt(lambda: search(vector=vector))
    attempt(lambda: search(vector=vector, recall=1))
    attempt(lambda: search(text="cats number"))
    attempt(lambda: search(text='"text of" dogs', syntax="operators", vector=vector, filter={"kind": "a"}))
    attempt(lambda: collection.get(["id-3", "id-299", "no such id"]))
    attempt(count)
    attempt(lambda: collection.count(filter={"number": {"$gt": 5}}))
    attempt(collection.stats)
    attempt(collection.verify)
    attempt(collection.refresh)


def _use_collection(path: Path, attempt: Attempt) -> None:
    reader = attempt(lambda: tiercel.open(path, mode="r"))
    if reader is not None:
        _read(reader, attempt)
        attempt(reader.close)
    collection = attempt(lambda: tiercel.open(path))
    if collection is None:
        return
    _read(collection, attempt)
    attempt(lambda: collection.backup(path.parent / "aside"))
    attempt(lambda: collection.upsert(**_records(295, 10, collection.dim or _DIM)))
    attempt(lambda: collection.update_metadata(["id-1"], [{"number": -1}]))
    attempt(lambda: collection.delete(["id-2"]))
    attempt(lambda: collection.delete(filter={"kind": "b"}))
    attempt(collection.checkpoint)
    attempt(collection.compact)
    attempt(collection.verify)
    attempt(collection.close)
    again = attempt(lambda: tiercel.open(path))
    if again is not None:
        attempt(again.close)


# Indexes


def _index(path: Path) -> None:
    rng = np.random.default_rng(1)
    index = tiercel.Index(5, "cosine", seed=3)
    index.add(rng.standard_normal((40, 5)), ids=rng.permutation(1000)[:40])
    index.delete(index.ids[::4])
    index.save(path / "index")


def _old_index(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        (path / "index").write_bytes(lzma.decompress((OLD / name).read_bytes()))

    return make


def _use_index(path: Path, attempt: Attempt) -> None:
    file = path / "index"
    index = attempt(lambda: tiercel.Index.load(file))
    attempt(lambda: tiercel.Index.from_bytes(file.read_bytes()))
    if index is None:
        return
    query = np.ones((2, index.dim))

    def search(**how: Any) -> None:
        found = index.search(query, 10, **how)
        expect(not np.isnan(found.distances).any(), "search: a distance that is NaN")
        expect(
            all(each in index for each in found.ids.ravel().tolist() if len(index) >= 10),
            "search: an id that is not there",
        )

    attempt(search)
    attempt(lambda: search(recall=1))
    attempt(lambda: index.range_search(query, 0.5))
    attempt(lambda: index.get(index.ids[:5]))
    attempt(index.stats)
    attempt(lambda: index.add(np.ones((3, index.dim))))
    attempt(lambda: index.delete(index.ids[:2]))
    attempt(search)
    attempt(lambda: index.save(path / "again"))


# Caches


def _values() -> dict[str | bytes, bytes]:
    return {**{f"key {number}": b"value " * number for number in range(1, 60)}, b"bytes": bytes(5000)}


def _store(path: Path) -> None:
    for level in (None, 3):
        with Store(path, 8 << 20, level=level) as store:
            store.update(_values())
            store.pop("key 3", None)


def _files(path: Path) -> None:
    with Files(path, 8 << 20, level=3) as files:
        files.update(_values())
        files["same"] = _values()["key 5"]
        # Large enough for a file of its own.
        files["large"] = files["as large"] = random.Random(3).randbytes(20_000)


def _use_tier(tier: Store | Files | None, attempt: Attempt) -> None:
    if tier is None:
        return
    values = _values()
    for key, value in values.items():
        got = attempt(lambda key=key: tier.get(key))
        expect(got is None or isinstance(got, bytes), f"get: {got!r}")
        del value
    attempt(lambda: list(tier))
    attempt(lambda: dict(tier.items()))
    attempt(lambda: tier.put("key 1", b"another"))
    attempt(lambda: tier.pop("key 2", None))
    attempt(tier.flush)
    expect(attempt(lambda: tier.get("key 1")) in (b"another", None), "get: a value that was replaced")
    attempt(tier.stats)
    attempt(tier.close)


def _use_store(path: Path, attempt: Attempt) -> None:
    _use_tier(attempt(lambda: Store(path, 8 << 20, level=3)), attempt)
    _use_tier(attempt(lambda: Store(path, 1 << 16)), attempt)


def _use_files(path: Path, attempt: Attempt) -> None:
    _use_tier(attempt(lambda: Files(path, 8 << 20, level=3)), attempt)


def _cache(path: Path) -> None:
    with Store(path / "store", 8 << 20) as store, Cache([Memory(1 << 20), store]) as cache:
        names = cache.namespace("names")
        for number in range(30):
            names.put(f"key {number}", {"number": number, "values": [0.5] * number}, tags=[f"tag {number % 3}"])
        names.invalidate_tags("tag 1")
        cache.flush()


def _use_cache(path: Path, attempt: Attempt) -> None:
    store = attempt(lambda: Store(path / "store", 8 << 20))
    if store is None:
        return
    cache = attempt(lambda: Cache([Memory(1 << 20), store]))
    if cache is not None:
        names = attempt(lambda: cache.namespace("names"))
        for number in range(30):
            attempt(lambda number=number: names.get(f"key {number}"))
        attempt(lambda: names.get_or_load("key 1", lambda key: 1))
        attempt(lambda: names.invalidate_tags("tag 2"))
        attempt(lambda: dict(names.items()))
        attempt(cache.stats)
        attempt(cache.close)
    attempt(store.close)


def _sealed(path: Path) -> None:
    (path / "sealed").write_bytes(tiercel._core.seal("key", b"some value " * 3000, 3))
    (path / "envelope").write_bytes(tiercel._core.pack_envelope((1.0, 2, 3, 4, 5, 6, 7, 8, ["tag"]), b"value"))


def _use_sealed(path: Path, attempt: Attempt) -> None:
    attempt(lambda: tiercel._core.unseal("key", (path / "sealed").read_bytes(), 1 << 20))
    attempt(lambda: tiercel._core.unpack_envelope((path / "envelope").read_bytes()))


SUBJECTS = [
    Subject("collection", _checkpointed, _use_collection),
    Subject("collection in its log", _logged, _use_collection),
    Subject("collection of version 1", _old_collection, _use_collection),
    Subject("index", _index, _use_index),
    Subject("index of version 1", _old_index("index-v1-small.tiercel.xz"), _use_index),
    Subject("store", _store, _use_store),
    Subject("files", _files, _use_files),
    Subject("cache", _cache, _use_cache),
    Subject("sealed", _sealed, _use_sealed),
]


def quietly(use: Callable[[], None]) -> None:
    """Run something and suppress its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use()
