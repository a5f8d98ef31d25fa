"""Objects that hold something open cannot be copied: the error helps, and nothing is closed."""

import copy
import gc
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tiercel
from tiercel.cache import Cache, Files, Memory, Store, Wrapped
from tiercel.embed import HashingEmbedder


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with (
        tiercel.open(tmp_path / "zoo", dim=2) as collection,
        Store(tmp_path / "store", 1 << 24) as store,
        Files(tmp_path / "files", 1 << 24) as files,
        Cache([Memory(1 << 20)]) as cache,
    ):
        collection.upsert(["cat", "hen"], [[1, 0], [0, 1]], texts=["a cat", "a hen"])
        yield {
            "Collection": collection,
            "Scan": collection.scan(),
            "AsyncScan": collection.ascan(),
            "Memory": Memory(1 << 20),
            "Store": store,
            "Files": files,
            "Wrapped": Wrapped(Memory(1 << 20)),
            "Cache": cache,
            "EmbeddingCache": tiercel.EmbeddingCache(HashingEmbedder(), Memory(1 << 20)),
            "QueryCache": tiercel.QueryCache(collection),
            "SemanticCache": tiercel.SemanticCache(collection),
            "PayloadCache": tiercel.SemanticCache.payloads(dim=2),
        }


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_holds_something_open_is_not_copied(holders: dict[str, Any], copied: Callable[[Any], object]) -> None:
    for name, holder in holders.items():
        with pytest.raises(TypeError, match=f"^cannot copy or pickle {name}: "):
            copied(holder)
    gc.collect()
    collection: tiercel.Collection = holders["Collection"]
    assert not collection.closed
    assert collection.upsert("owl", texts="an owl") == 1
    assert [match.id for match in holders["Scan"]] == ["cat", "hen"]
    holders["Cache"]["a"] = 1
    holders["Store"]["a"] = holders["Files"]["a"] = b"1"


def test_a_reader_is_not_closed_by_a_copy(tmp_path: Path) -> None:
    tiercel.open(tmp_path / "zoo").close()
    with tiercel.open(tmp_path / "zoo", mode="r") as reader:
        with pytest.raises(TypeError, match="cannot copy"):
            copy.copy(reader)
        gc.collect()
        assert len(reader) == 0


def test_who_sends_a_collection_to_a_process_is_told_to_open_it_there(holders: dict[str, Any]) -> None:
    process = multiprocessing.get_context("spawn").Process(target=len, args=(holders["Collection"],))
    with pytest.raises(TypeError, match='another process opens it itself, with mode="r" to read'):
        process.start()
