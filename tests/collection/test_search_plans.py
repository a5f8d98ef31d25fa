"""The promises of the planner: right answers by every method, and no plan outlives its data."""

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import F

COUNT = 3000
VECTORS = np.random.default_rng(9).standard_normal((COUNT, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory):
    with tiercel.open(tmp_path_factory.mktemp("plans"), dim=8, durability="none") as collection:
        texts = [f"eel{at % 7} mud" for at in range(COUNT)]
        collection.upsert(map(str, range(COUNT)), VECTORS, texts, [{"at": at} for at in range(COUNT)])
        collection.wait_idle()
        yield collection


def plan(found: tiercel.Found) -> dict[str, Any]:
    assert found.plan is not None
    return found.plan


@pytest.mark.parametrize("below", [0, 1, 5, 90, 700, 2000, 2990, COUNT, COUNT + 1])
def test_any_share_of_the_records_is_found(collection: tiercel.Collection, below: int) -> None:
    query = VECTORS[7] + 0.1
    cosines = VECTORS.astype(float) @ query / np.linalg.norm(VECTORS.astype(float), axis=1) / np.linalg.norm(query)
    expected = np.sort(cosines[:below])[::-1]
    condition = F("at") < below
    for k in (1, 10, 1000, 10**12):
        found = collection.search(query, filter=condition, k=k, recall=1, include=(), explain=True)
        # Among 3,000, some are equally far within the precision of float32.
        assert len(set(found.ids)) == len(found) == min(k, below, COUNT)
        assert np.abs(cosines[[int(name) for name in found.ids]] - expected[:k]).max(initial=0) < 1e-6
        assert plan(found)["selectivity"] == min(below, COUNT) / COUNT
        assert plan(found)["way"] == ("vector" if below else "nothing")
        by_text = collection.search(text="eel3 mud", filter=condition, k=k, include=())
        assert len(by_text) == min(k, below, COUNT)
        both = collection.search(query, "eel3", filter=condition, k=k, include=())
        assert len(both) == min(k, below, COUNT)
        assert all(int(name) < below for name in [*found.ids, *by_text.ids, *both.ids])


def test_a_broad_filter_against_the_ranking_is_kept(collection: tiercel.Collection) -> None:
    query = VECTORS[11]
    cosines = VECTORS @ query / np.linalg.norm(VECTORS, axis=1)
    order = np.argsort(-cosines)
    collection.update_metadata([str(at) for at in order[:1200]], [{"near": True}] * 1200)
    try:
        found = collection.search(query, filter=~F("near").exists(), recall=1, include=())
        assert found.ids == [str(at) for at in order[1200:1210]]
    finally:
        collection.update_metadata([str(at) for at in order[:1200]], [{"at": int(at)} for at in order[:1200]])


def test_a_plan_says_how_it_went(collection: tiercel.Collection) -> None:
    assert collection.search(VECTORS[0]).plan is None
    bare = plan(collection.search(VECTORS[0], explain=True))
    assert (bare["way"], bare["selectivity"], bare["cached"]) == ("vector", None, False)
    assert [(stage["name"], stage["count"]) for stage in bare["stages"]] == [("vector", 10), ("records", 10)]
    took = bare["vectors"]
    assert took["distances"] == COUNT
    assert took["rescored"] >= 10
    assert took["bytes"] >= COUNT * 8
    assert all(seconds >= 0 for seconds in took["seconds"].values())
    assert plan(collection.search(text="mud", explain=True))["vectors"] is None
    asked: Any = {"text": "mud", "filter": {"at": {"$gte": 123}}, "explain": True}
    first, second = plan(collection.search(**asked)), plan(collection.search(**asked))
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["selectivity"] == second["selectivity"] == (COUNT - 123) / COUNT
    assert [(stage["name"], stage["count"]) for stage in second["stages"]] == [
        ("filter", COUNT - 123),
        ("text", 10),
        ("records", 10),
    ]


def test_every_write_ends_what_is_cached(tmp_path: Path) -> None:
    pets, bare = F("pet") == True, F("pet") == False  # noqa: E712
    with tiercel.open(tmp_path, dim=2) as zoo:

        def found(condition: Any) -> set[str]:
            known = zoo.search([1, 1], filter=condition, explain=True)
            again = zoo.search([1, 1], filter=condition, explain=True)
            assert plan(again)["cached"]
            assert known.ids == again.ids
            return set(known.ids)

        zoo.upsert(["cat", "eel"], [[1, 0], [0, 1]], metadata=[{"pet": True}, {"pet": False}])
        assert (found(pets), found(bare)) == ({"cat"}, {"eel"})
        zoo.update_metadata(["eel"], [{"pet": True}])
        assert (found(pets), found(bare)) == ({"cat", "eel"}, set())
        zoo.upsert(["hen"], [[1, 1]], metadata=[{"pet": False}])
        assert (found(pets), found(bare)) == ({"cat", "eel"}, {"hen"})
        zoo.delete(["cat"])
        assert (found(pets), found(bare)) == ({"eel"}, {"hen"})
        zoo.compact()
        assert (found(pets), found(bare)) == ({"eel"}, {"hen"})


def test_more_filters_than_are_kept(collection: tiercel.Collection) -> None:
    for _ in range(2):
        for below in range(1, 80):
            assert len(collection.search(VECTORS[0], filter=F("at") < below, include=(), k=100)) == below


def test_threads_that_write_find_what_they_wrote(tmp_path: Path) -> None:
    wrong: list[object] = []
    with tiercel.open(tmp_path, dim=2, durability="none") as zoo:
        zoo.upsert(map(str, range(4)), np.ones((4, 2)), metadata=[{"round": -1, "all": 1}] * 4)

        def work(own: int) -> None:
            for turn in range(60):
                zoo.update_metadata([str(own)], [{"own": own, "round": turn, "all": 1}])
                mine = zoo.search([1, 1], filter={"own": own, "round": turn}).ids
                stale = zoo.search([1, 1], filter={"own": own, "round": turn - 1}).ids
                same = zoo.search_many([[1, 1]] * 3, filter={"all": 1}, threads=2)
                if mine != [str(own)] or stale or any(len(found) != 4 for found in same):
                    wrong.append((own, turn, mine, stale))

        threads = [threading.Thread(target=work, args=[own]) for own in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_reader_takes_no_plan_along_to_another_state(tmp_path: Path) -> None:
    pets = {"pet": True}

    def write(count: int) -> None:
        with tiercel.open(tmp_path / "zoo", dim=2) as zoo:
            zoo.upsert(map(str, range(count)), np.ones((count, 2)), metadata=[{"pet": at > 0} for at in range(count)])

    write(3)
    with tiercel.open(tmp_path / "zoo", mode="r") as reader:
        assert set(reader.search([1, 1], filter=pets).ids) == {"1", "2"}
        shutil.copytree(tmp_path / "zoo", tmp_path / "copy")
        write(4)
        assert reader.refresh()
        assert set(reader.search([1, 1], filter=pets).ids) == {"1", "2", "3"}
        # As many batches, but other records: a copy of the collection with a different history.
        shutil.rmtree(tmp_path / "zoo")
        (tmp_path / "copy").rename(tmp_path / "zoo")
        write(5)
        assert reader.refresh()
        assert set(reader.search([1, 1], filter=pets).ids) == {"1", "2", "3", "4"}
