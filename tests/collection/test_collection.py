"""The promises of `tiercel.Collection` to its users."""

import asyncio
import inspect
import threading
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import tiercel
from tiercel import F

IDS = ["cat", "hen", "eel"]
VECTORS = np.eye(3, dtype=np.float32)
TEXTS = ["a cat sleeps", "a hen lays eggs", "an eel sleeps in mud"]
METADATA = [{"legs": 4, "tags": ["pet"]}, {"legs": 2, "born": "2024-05-01"}, {"legs": 0}]


@pytest.fixture
def zoo(tmp_path: Path):
    with tiercel.open(tmp_path / "zoo", dim=3) as collection:
        assert collection.upsert(IDS, VECTORS, TEXTS, METADATA) == 3
        yield collection


def test_it_finds_by_vector_by_text_and_by_both(zoo: tiercel.Collection) -> None:
    found = zoo.search([0.1, 0.9, 0.2], k=2)
    assert found.ids == ["hen", "eel"]
    assert found.quality == "exact"
    assert zoo.search(text="sleeping cats").ids == ["cat", "eel"]
    assert zoo.search([0.1, 0.9, 0.2], "sleeping", k=3).ids == ["cat", "eel", "hen"]
    assert zoo.search([0.1, 0.9, 0.2], "sleeping", alpha=1, k=1).ids == ["hen"]
    assert zoo.search(text='"eel sleeps"', syntax="operators").ids == ["eel"]
    assert zoo.search(text="+sleeps -mud", syntax="operators").ids == ["cat"]


def test_a_match_holds_the_record(zoo: tiercel.Collection) -> None:
    match = zoo.search([0, 2, 0], k=1, include=["text", "metadata", "vector"])[0]
    assert (match.id, match.text, match.metadata) == ("hen", TEXTS[1], METADATA[1])
    assert match.vector is not None
    assert match.vector.tolist() == [0, 1, 0]
    assert match.distance == pytest.approx(0, abs=1e-6)
    assert match.score == pytest.approx(1, abs=1e-6)
    bare = zoo.search(text="eggs", include=())[0]
    assert bare.distance is bare.text is bare.metadata is bare.vector is None


def test_results_are_a_sequence_with_arrays(zoo: tiercel.Collection) -> None:
    found = zoo.search([1, 0, 0], k=3)
    assert [match.id for match in found] == found.ids
    assert found[-1].id == found.ids[-1]
    assert [match.id for match in found[:2]] == found.ids[:2]
    assert found.scores.dtype == found.distances.dtype == np.float32
    with pytest.raises(IndexError):
        found[3]


def test_filters(zoo: tiercel.Collection) -> None:
    assert zoo.search([0, 0, 1], filter=F("legs") >= 2).ids != []
    assert set(zoo.search([0, 0, 1], filter=F("legs") >= 2).ids) == {"cat", "hen"}
    assert zoo.search(text="sleeps", filter={"legs": 4}).ids == ["cat"]
    assert zoo.count(filter=F("tags").contains("pet") | (F("born") > date(2024, 1, 1))) == 2
    assert zoo.count(filter=~F("legs").in_([0, 2])) == 1
    assert zoo.delete(filter=F("legs") == 0) == 1
    assert len(zoo) == 2


def test_records_come_back_in_order(zoo: tiercel.Collection) -> None:
    cat, nobody = zoo.get(["cat", "nobody"])
    assert nobody is None
    assert cat is not None
    assert (cat.id, cat.text, cat.metadata) == ("cat", TEXTS[0], METADATA[0])
    assert cat.score is None
    assert [match.id for match in zoo.scan()] == IDS
    assert [match.id for match in zoo.scan(order_by="-legs", limit=2)] == ["cat", "hen"]


def test_new_records_are_found_at_once(zoo: tiercel.Collection) -> None:
    assert zoo.upsert(["owl"], [[1, 1, 0]], ["an owl hoots"], [{"legs": 2}]) == 1
    assert zoo.search(text="hoots").ids == ["owl"]
    assert zoo.count(filter={"legs": 2}) == 2
    assert "owl" in zoo
    assert zoo.delete(["owl", "nobody"]) == 1
    assert "owl" not in zoo


@pytest.mark.parametrize("value", [5, None, "", "x" * 513, "\ud800", b"cat", ["cat"]])
def test_what_is_no_id_is_not_there(zoo: tiercel.Collection, value: object) -> None:
    assert value not in zoo
    assert value not in tiercel.Index(2)


def test_upsert_replaces_as_a_whole_and_the_last_of_equal_ids_wins(zoo: tiercel.Collection) -> None:
    assert zoo.upsert(["cat", "cat"], texts=["one", "two"]) == 1
    cat = zoo.get(["cat"])[0]
    assert cat is not None
    assert cat.text == "two"
    assert cat.vector is None
    assert cat.metadata is None
    assert len(zoo) == 3


def test_metadata_is_replaced(zoo: tiercel.Collection) -> None:
    assert zoo.update_metadata(["cat", "nobody"], [{"legs": 3}, {}]) == 1
    assert zoo.update_metadata(["hen", "hen"], [{"legs": 9}, {"legs": 2}]) == 1
    assert zoo.count(filter={"legs": 3}) == 1
    cat = zoo.get(["cat"])[0]
    assert cat is not None
    assert cat.text == TEXTS[0]
    assert cat.vector is not None


def test_some_records_without_a_vector(zoo: tiercel.Collection) -> None:
    zoo.upsert(["a", "b"], [None, [0, 1, 1]], ["alpha", None])
    a, b = zoo.get(["a", "b"])
    assert a is not None
    assert a.vector is None
    assert b is not None
    assert b.text is None
    assert len(zoo.search([1, 1, 1], k=10)) == 4


def test_it_lasts(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=3) as first:
        first.upsert(IDS, VECTORS, TEXTS, METADATA)
        first.delete(["hen"])
        first.checkpoint()
        first.upsert(["hen"], VECTORS[:1], ["back"])
    with tiercel.open(tmp_path) as again:
        assert (again.dim, again.metric, len(again)) == (3, "cosine", 3)
        assert again.search(text="back").ids == ["hen"]
        assert set(again.search([1, 0, 0], k=2).ids) == {"cat", "hen"}
        assert again.verify() == []


def test_a_backup_is_a_collection(zoo: tiercel.Collection, tmp_path: Path) -> None:
    zoo.backup(tmp_path / "copy")
    zoo.delete(IDS)
    with tiercel.open(tmp_path / "copy") as copy:
        assert len(copy) == 3
        assert copy.search(text="mud").ids == ["eel"]


def test_compacting_keeps_what_lives(zoo: tiercel.Collection) -> None:
    zoo.delete(["cat"])
    zoo.compact()
    assert sorted(zoo.search([1, 1, 1], k=5).ids) == ["eel", "hen"]
    assert zoo.search(text="sleeps").ids == ["eel"]


def test_what_it_was_made_with_is_checked(zoo: tiercel.Collection) -> None:
    with pytest.raises(tiercel.AlreadyOpenError, match="already open"):
        tiercel.open(zoo.path)
    zoo.close()
    with pytest.raises(tiercel.InvalidInputError, match="dim: expected 3"):
        tiercel.open(zoo.path, dim=4)
    with pytest.raises(tiercel.InvalidInputError, match="metric: expected 'cosine'"):
        tiercel.open(zoo.path, metric="l2")


def test_the_plan_is_told(zoo: tiercel.Collection) -> None:
    plan = zoo.search([1, 0, 0], "cat", filter={"legs": 4}, explain=True).plan
    assert plan is not None
    assert plan["way"] == "hybrid"
    assert plan["selectivity"] == pytest.approx(1 / 3)
    assert {"filter", "vector", "text", "fusion", "records"} == {stage["name"] for stage in plan["stages"]}
    assert zoo.search([1, 0, 0]).plan is None


def test_the_plan_tells_what_new_vectors_cost(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(600, 8))
    with tiercel.open(tmp_path / "new", dim=8) as collection:
        collection.upsert([f"old{row}" for row in range(500)], vectors[:500])
        collection.wait_idle()
        settled = collection.search(vectors[0], explain=True).plan
        collection.upsert([f"new{row}" for row in range(100)], vectors[500:])
        plan = collection.search(vectors[0], explain=True).plan
    assert settled is not None
    assert plan is not None
    assert settled["vectors"]["fresh"] == {"distances": 0, "seconds": 0.0}
    # The background may have moved them already.
    assert plan["vectors"]["fresh"]["distances"] in {0, 100}
    assert plan["vectors"]["distances"] == 600


def test_every_method_has_an_async_twin() -> None:
    methods = dict(inspect.getmembers(tiercel.Collection, inspect.isfunction))
    waiting = {
        name for name, method in methods.items() if not name.startswith("_") and not inspect.iscoroutinefunction(method)
    }
    assert waiting >= {"upsert", "update_metadata", "delete", "get", "search", "count", "scan", "refresh", "close"}
    for name in waiting - {"ascan"}:
        method, twin = methods[name], methods[f"a{name}"]
        parameters = inspect.signature(method).parameters
        assert inspect.signature(twin).parameters == parameters
        assert name == "scan" or inspect.signature(twin) == inspect.signature(method)
        assert twin.__qualname__ == f"{method.__qualname__.removesuffix(name)}a{name}"


def test_async_twins_do_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with tiercel.open(tmp_path / "zoo", dim=3) as zoo:
            assert await zoo.aupsert(IDS, VECTORS, texts=TEXTS, metadata=METADATA) == 3
            found, count = await asyncio.gather(zoo.asearch(text="eggs"), zoo.acount(filter=F("legs") > 0))
            assert (found.ids, count) == (["hen"], 2)
            assert await zoo.aupdate_metadata(["hen"], [{"legs": 0}]) == 1
            assert [match.id async for match in zoo.ascan(filter={"legs": 0}, limit=1)] == ["hen"]
            assert await zoo.adelete(["cat"]) == 1
            assert await zoo.aget(["cat"]) == [None]
            await zoo.await_idle()
            await zoo.acheckpoint()
            await zoo.acompact()
            await zoo.abackup(tmp_path / "copy")
            assert (await zoo.averify(), await zoo.arefresh(), (await zoo.astats())["records"]) == ([], False, 2)
            with pytest.raises(tiercel.InvalidInputError, match="ids: expected a str or a list of them"):
                await zoo.adelete(b"abc")  # type: ignore[arg-type]
        assert zoo.closed
        async with tiercel.open(tmp_path / "copy", mode="r") as copy:
            assert len(copy) == 2
            await copy.aclose()

    asyncio.run(main())


LONE = "a\ud800"


def test_bad_searches(zoo: tiercel.Collection) -> None:
    for call, message in (
        (zoo.search, "expected vector, text or both"),
        (lambda: zoo.search([1, 0]), "vector: expected vectors of length 3, got 2"),
        (lambda: zoo.search([[1, 0, 0], [0, 1, 0]]), "vector: expected one vector, got 2"),
        (lambda: zoo.search([0, 0, 0]), "vector: expected a vector with a direction"),
        (lambda: zoo.search([1, 0, 0], k=0), "k: expected an int of at least 1, got 0"),
        (lambda: zoo.search([1, 0, 0], recall=1.5), "recall"),
        (lambda: zoo.search([1, 0, 0], alpha=2), "alpha: expected a number from 0"),
        (lambda: zoo.search([1, 0, 0], rrf_k=-1), "rrf_k"),
        (lambda: zoo.search(text=LONE), "text: expected Unicode text"),
        (lambda: zoo.search([1, 0, 0], filter={"$what": 1}), "filter"),
        (lambda: zoo.search([1, 0, 0], include=["score"]), "include"),  # pyright: ignore[reportArgumentType]
        (zoo.delete, "expected ids or filter, got neither"),
        (lambda: zoo.delete(["a"], filter={}), "expected ids or filter, got both"),
        (lambda: zoo.scan(limit=-1), "limit"),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call()


def test_empty_batches_and_empty_collections(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=3) as empty:
        assert empty.upsert([], np.empty((0, 3)), [], []) == 0
        assert empty.delete([]) == 0
        found = empty.search([1, 0, 0], "words")
        assert (len(found), found.ids, found.scores.shape) == (0, [], (0,))


def test_threads_write_and_search_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []
    with tiercel.open(tmp_path, dim=4, durability="none") as collection:

        def write(number: int) -> None:
            rng = np.random.default_rng(number)
            for batch in range(20):
                ids = [f"{number}-{batch}-{i}" for i in range(10)]
                collection.upsert(ids, rng.normal(size=(10, 4)), [f"word{number}"] * 10)

        def search() -> None:
            for _ in range(100):
                found = collection.search([1, 0, 0, 0], k=20)
                if len(set(found.ids)) != len(found.ids) or np.any(np.diff(found.scores) > 0):
                    errors.append(AssertionError(found.ids))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
        threads += [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(collection) == 600
        assert len(collection.search(text="word1", k=1000)) == 200
