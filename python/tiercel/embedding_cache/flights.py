"""What is being made, and by whom, so that nobody else makes it meanwhile."""

import os
import threading
from collections.abc import Iterable, Mapping
from typing import final

from tiercel.errors import InvalidInputError
from tiercel.gate import Gate

__all__ = ["Flight", "Flights"]


@final
class Flight:
    """A value on its way."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self._is_over = False
        self._value: bytes | None = None
        self._gates: list[Gate] = []

    def wait(self) -> bytes | None:
        """The value, when it is there; None when whoever made it has failed."""
        gate = Gate()
        self._gates.append(gate)
        while not self._is_over:
            gate.wait(threading.TIMEOUT_MAX)
        return self._value

    def end(self, value: bytes | None) -> None:
        """Hand it out. Doing it again changes nothing."""
        if not self._is_over:
            self._value = value
            self._is_over = True
        for gate in list(self._gates):
            gate.open()


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

    def take(self, keys: Iterable[bytes], own: dict[bytes, Flight]) -> dict[bytes, Flight]:
        """The flights of keys that others are making. Those of the other keys are now for the caller to make, and are added to `own`."""
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
            # First where the caller lands them, wherever a signal comes in, and then where others find them.
            own.update({key: Flight(caller) for key in keys if key not in theirs})
            self._flying.update(own)
        return theirs

    def land(self, own: Mapping[bytes, Flight], values: Mapping[bytes, bytes]) -> None:
        """Hand values to those who wait; keys without a value have failed. It can be done again wherever it was left."""
        if not own:
            return
        with self._lock:
            self._landed += 1
            for key, flight in own.items():
                if self._flying.get(key) is flight:
                    del self._flying[key]
        for key, flight in own.items():
            flight.end(values.get(key))
