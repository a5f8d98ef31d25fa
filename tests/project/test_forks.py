"""A forked process answers, whatever lock a thread of its parent held at that moment."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel.cache import Memory
from tiercel.embed import HashingEmbedder

QUERY = np.array([1, 0, 0], np.float32)
WAIT = 20  # seconds until a child that hangs fails the test


def index() -> tiercel.Index:
    index = tiercel.Index(3)
    index.add(np.eye(3))
    return index


def of_queries() -> tuple[list[Any], Callable[[], object]]:
    cache = tiercel.QueryCache(index())
    return [cache._lock], lambda: (cache.search(QUERY, 1), cache.stats())


def of_results() -> tuple[list[Any], Callable[[], object]]:
    cache = tiercel.SemanticCache(index(), threshold=0.1)
    return [cache._lock, cache._entry_index._lock], lambda: (cache.search(QUERY, 1), cache.stats())


def of_payloads() -> tuple[list[Any], Callable[[], object]]:
    cache = tiercel.SemanticCache.payloads(3, threshold=0.1)
    return [cache._lock, cache._entry_index._lock], lambda: (cache.put(QUERY, 1), cache.get(QUERY), cache.stats())


def of_embeddings() -> tuple[list[Any], Callable[[], object]]:
    cache = tiercel.EmbeddingCache(HashingEmbedder(dim=8), Memory(1 << 20))
    return [cache._lock], lambda: (cache.embed_query("a cat"), cache.stats())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("make", [of_queries, of_results, of_payloads, of_embeddings])
def test_a_forked_process_finds_the_locks_free(make: Callable[[], tuple[list[Any], Callable[[], object]]]) -> None:
    locks, use = make()
    child = multiprocessing.get_context("fork").Process(target=use)
    # As a thread of this process would hold them while another one forks.
    for lock in locks:
        lock.acquire()
    child.start()
    for lock in locks:
        lock.release()
    child.join(WAIT)
    hung = child.is_alive()
    child.kill()
    child.join()
    assert not hung
    assert child.exitcode == 0
    use()
