"""Fixtures of the tests of caches."""

from collections.abc import Iterator

import pytest
from caching import Clock
from remote import Shelf

from tiercel.cache import Cache, Memory


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Iterator[Cache]:
    with Cache([Memory(1 << 20)], clock=clock) as made:
        yield made


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """A simulated outside service that fails on command."""
    shelf = Shelf()
    yield shelf
    shelf.release()
