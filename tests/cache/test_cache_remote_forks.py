"""Remote tiers in a forked process."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest
from remote import Shelf, on_shelf

from tiercel.cache import Object

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")


def use(tier: Any, answer: Connection) -> None:
    """Report what a forked process sees."""
    kept = tier.put("child", b"2")
    answer.send((tier.get("parent"), kept, tier.get("child")))


def use_another(answer: Connection) -> None:
    """Use a tier created in a forked process."""
    with Object("memory:///") as tier:
        answer.send((tier.put("a", b"1"), tier.get("a"), tier.stats()["failures"]))


def forked(tier: Any) -> Any:
    return answer_of(use, tier)


def answer_of(work: Callable[..., None], *args: Any) -> Any:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work, args=(*args, there))
    process.start()
    answer = here.recv()
    process.join()
    assert process.exitcode == 0
    return answer


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_goes_on_with_a_shelf_and_without_an_object_store(shelf: Shelf) -> None:
    with on_shelf(shelf) as tier, Object("memory:///") as store:
        tier["parent"] = store["parent"] = b"1"
        assert forked(tier) == (b"1", True, b"2")
        assert forked(store) == (None, False, None)
        assert answer_of(use_another) == (False, None, 1)
        assert dict(tier) == dict(store) == {"parent": b"1"}


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_knows_what_was_in_doubt(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["parent"] = b"1"
    shelf.mode = "fails"
    tier["parent"] = b"2"
    shelf.mode = "works"
    assert forked(tier) == (None, True, b"2")
