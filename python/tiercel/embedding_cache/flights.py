"""What is being made, and by whom, so that nobody else makes it meanwhile."""

import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from tiercel.errors import InvalidInputError

__all__ = ["Flight", "Flights"]


class Flight(NamedTuple):
    """A value on its way."""

    thread: int
    future: "Future[bytes | None]"
    """None when whoever made it has failed."""


class Flights:
    """Keys whose values are being made. Who takes keys must land them all, before waiting for those of others."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._flying: dict[bytes, Flight] = {}
        self._landed = 0

    @property
    def landed(self) -> int:
        """Goes up whenever values arrive: who has looked for a value before may find it now."""
        return self._landed

    def take(self, keys: Iterable[bytes]) -> tuple[list[bytes], dict[bytes, Flight]]:
        """Keys that are now for the caller to make, and those that others are making."""
        if self._process != os.getpid():
            # Those who were making values are threads of the process that this one was forked from.
            self._begin()
        caller = threading.get_ident()
        with self._lock:
            theirs = {key: self._flying[key] for key in keys if key in self._flying}
            if any(flight.thread == caller for flight in theirs.values()):
                raise InvalidInputError(
                    "embedder: expected one that does not ask its own cache for what it is embedding"
                )
            mine = [key for key in keys if key not in theirs]
            self._flying.update((key, Flight(caller, Future())) for key in mine)
        return mine, theirs

    def land(self, keys: Iterable[bytes], values: Mapping[bytes, bytes]) -> None:
        """Hand values to those who wait; keys without a value have failed."""
        with self._lock:
            self._landed += 1
            flights = [(self._flying.pop(key, None), values.get(key)) for key in keys]
        for flight, value in flights:
            if flight is not None:
                flight.future.set_result(value)
