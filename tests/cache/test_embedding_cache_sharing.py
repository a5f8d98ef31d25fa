"""An embedding cache shared by threads, coroutines and processes: one embedding per text."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from embedders import Embedder, Tier, vector

import tiercel
from tiercel import EmbeddingCache
from tiercel.embed import from_callable

WAIT = 20  # seconds until a test that hangs fails


def count_joins(monkeypatch: pytest.MonkeyPatch, cache: EmbeddingCache, joined: threading.Semaphore) -> None:
    """Release `joined` whenever a call has joined its flights."""
    join_all = cache._flights.join_all

    def join(*arguments: Any) -> Any:
        flights = join_all(*arguments)
        joined.release()
        return flights

    monkeypatch.setattr(cache._flights, "join_all", join)


def run(*works: Callable[[], object]) -> list[object]:
    """Run works on threads; return what each returned or raised."""
    results: list[object] = [None] * len(works)

    def keep(at: int, work: Callable[[], object]) -> None:
        try:
            results[at] = work()
        except Exception as error:  # noqa: BLE001 - the test checks it
            results[at] = error

    threads = [threading.Thread(target=keep, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    return results


class Watched(Tier):
    """A tier that releases its callers once a number of them have looked."""

    def __init__(self, callers: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(callers)
        self.looked = threading.local()

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        found = super().get_many(keys)
        if not getattr(self.looked, "once", False):
            self.looked.once = True
            self.barrier.wait(WAIT)
        return found


def test_threads_that_miss_the_same_text_embed_it_once() -> None:
    embedder = Embedder()
    cache = EmbeddingCache(embedder, Watched(16))
    results = run(*[lambda: cache.embed_documents(["a", "b"]).tolist()] * 16)
    assert results == [results[0]] * 16
    assert embedder.asked == [["a", "b"]]
    stats = cache.stats()
    assert (stats["texts"], stats["embedded"], stats["waited"], stats["hits"]) == (32, 2, 30, 0)


def test_batches_that_overlap_in_any_order_do_not_wait_for_each_other_forever() -> None:
    embedder = Embedder()
    cache = EmbeddingCache(embedder, Tier(), dtype="f32")
    every = [f"text {number}" for number in range(40)]

    def ask(seed: int) -> list[list[str]]:
        rng, wrong = np.random.default_rng(seed), list[list[str]]()
        for _ in range(20):
            batch = [every[number] for number in rng.permutation(40)[:10]]
            if cache.embed_documents(batch).tolist() != np.array([vector(text) for text in batch], np.float32).tolist():
                wrong.append(batch)
        return wrong

    assert run(*[lambda seed=seed: ask(seed) for seed in range(8)]) == [[]] * 8
    assert sorted(text for batch in embedder.asked for text in batch) == sorted(every)


def test_those_who_wait_for_one_who_fails_try_themselves() -> None:
    def refuse(texts: list[str]) -> None:
        if len(embedder.asked) == 1:
            raise ConnectionError("no model today")

    embedder = Embedder(refuse)
    cache = EmbeddingCache(embedder, Watched(16))
    results = run(*[lambda: cache.embed_documents(["a"]).shape] * 16)
    assert [str(result) for result in results if isinstance(result, Exception)] == ["no model today"]
    assert results.count((1, 8)) == 15
    assert embedder.asked == [["a"], ["a"]]


@pytest.mark.parametrize(("failing", "calls"), [(9, 2), (1, 2)])
def test_of_ten_who_wait_for_a_failing_embedder_one_tries_again(
    monkeypatch: pytest.MonkeyPatch, failing: int, calls: int
) -> None:
    waiting = threading.Semaphore(0)

    def refuse(texts: list[str]) -> None:
        if len(embedder.asked) == 1:
            # The first call fails once the nine others wait for it.
            for _ in range(10):
                assert waiting.acquire(timeout=WAIT)
        if len(embedder.asked) <= failing:
            raise ConnectionError("no model today")

    embedder = Embedder(refuse)
    tier = Watched(10)
    cache = EmbeddingCache(embedder, tier)
    count_joins(monkeypatch, cache, waiting)
    results = run(*[lambda: cache.embed_documents(["a"]).shape] * 10)
    assert [str(each) for each in results].count("no model today") == (10 if failing > 1 else 1)
    assert embedder.asked == [["a"]] * calls
    # A later caller tries again, and waits for nobody.
    tier.looked.once = True
    if failing > 1:
        with pytest.raises(ConnectionError):
            cache.embed_documents(["a"])
        assert len(embedder.asked) == 3


def test_each_of_ten_who_share_a_failure_hears_of_its_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, calls = threading.Semaphore(0), list[list[str]]()

    def embed(texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        if calls.count(["bad"]) == 1 and texts == ["bad"]:
            # The first call fails once the nine others wait for it.
            for _ in range(10):
                assert waiting.acquire(timeout=WAIT)
        return [[np.nan if text == "bad" else 1] for text in texts]

    tier = Watched(10)
    cache = EmbeddingCache(from_callable(embed, 1, "broken"), tier)
    known = [f"text {number}" for number in range(10)]
    tier.looked.once = True
    cache.embed_documents(known)
    count_joins(monkeypatch, cache, waiting)
    results = run(*(lambda place=place: cache.embed_documents([*known[:place], "bad"]) for place in range(10)))
    assert [str(result).rpartition(" ")[2] for result in results] == [str(place) for place in range(10)]
    assert calls == [known, ["bad"], ["bad"]]


def test_a_call_that_fails_for_another_text_is_no_failure_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, waits = threading.Event(), threading.Event()

    def refuse(texts: list[str]) -> None:
        if "bad" in texts:
            begun.set()
            assert waits.wait(WAIT)
            raise ConnectionError("bad text")

    embedder = Embedder(refuse)
    cache = EmbeddingCache(embedder, Tier())
    join_all = cache._flights.join_all

    def joined(*arguments: Any) -> Any:
        theirs = join_all(*arguments)
        if theirs:
            waits.set()
        return theirs

    monkeypatch.setattr(cache._flights, "join_all", joined)

    def second() -> Any:
        assert begun.wait(WAIT)
        return cache.embed_documents(["good"]).shape

    results = run(lambda: cache.embed_documents(["bad", "good"]), second)
    assert [str(each) for each in results] == ["bad text", "(1, 8)"]
    assert embedder.asked == [["bad", "good"], ["good"]]


def test_what_arrives_while_a_caller_looks_is_not_embedded_again() -> None:
    class Late(Tier):
        """A tier that first finds nothing, although the text is stored when it answers."""

        late = True

        def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
            found = super().get_many(keys)
            if self.late:
                self.late = False
                cache.embed_documents(["a"])
            return found

    embedder = Embedder()
    cache = EmbeddingCache(embedder, Late())
    assert cache.embed_documents(["a", "b"]).shape == (2, 8)
    assert embedder.asked == [["a"], ["b"]]


def test_an_embedder_that_asks_its_own_cache_is_told() -> None:
    embedder = Embedder(lambda texts: cache.embed_documents(texts) if len(embedder.asked) == 1 else None)
    cache = EmbeddingCache(embedder, Tier())
    with pytest.raises(tiercel.InvalidInputError, match="expected one that does not ask its own cache"):
        cache.embed_documents(["a"])
    assert cache.embed_documents(["a"]).shape == (1, 8)


def test_coroutines_share_what_is_being_embedded() -> None:
    embedder = Embedder()
    cache = EmbeddingCache(embedder, Tier())

    async def ask() -> list[np.ndarray]:
        return await asyncio.gather(*(cache.aembed_query("a") for _ in range(9)), cache.aembed_documents(["b"]))

    results = asyncio.run(ask())
    assert {tuple(each.tolist()) for each in results[:9]} == {tuple(cache.embed_query("a").tolist())}
    assert sorted(embedder.asked) == [["a"], ["b"]]


def ask_and_tell(cache: EmbeddingCache, answer: Connection) -> None:
    answer.send(cache.embed_documents(["a"]).shape)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_of_its_parent() -> None:
    began, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    def wait(texts: list[str]) -> None:
        if os.getpid() == parent:
            began.set()
            go_on.wait(WAIT)

    cache = EmbeddingCache(Embedder(wait), Tier())
    thread = threading.Thread(target=cache.embed_documents, args=[["a"]])
    thread.start()
    assert began.wait(WAIT)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=ask_and_tell, args=(cache, there))
    process.start()
    try:
        assert here.poll(WAIT)
        assert here.recv() == (1, 8)
    finally:
        go_on.set()
        process.kill()
        process.join()
        thread.join()
