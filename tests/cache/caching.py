"""Helpers that tests of the cache share."""

import threading
from collections.abc import Callable
from typing import Any

SECOND = 10**9


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Counted:
    """A loader that counts its calls."""

    def __init__(self, load: Callable[[Any], Any] = lambda key: f"loaded {key}") -> None:
        self.load = load
        self.asked: list[Any] = []

    def __call__(self, key: Any) -> Any:
        self.asked.append(key)
        return self.load(key)


class Gate:
    """A loader that signals its start and waits for permission to continue."""

    def __init__(self, load: Callable[[Any], Any] = lambda key: f"loaded {key}") -> None:
        self.load = load
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, key: Any) -> Any:
        self.calls += 1
        self.begun.set()
        assert self.may_end.wait(30)
        return self.load(key)


def fails(key: Any) -> Any:
    raise OSError(f"no {key}")
