"""What is being made, and by whom, so that nobody else makes it meanwhile."""

import os
import threading
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, final

from tiercel.errors import InvalidInputError
from tiercel.gate import Gate

__all__ = ["Failure", "Flight", "Flights"]


class Failure(NamedTuple):
    """Why a value has not come."""

    error: Exception | None
    """None if whoever made it was interrupted, which says nothing of the value."""
    keys: AbstractSet[bytes]
    """What the call that failed was for."""


@final
class Flight:
    """A value on its way."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        # The second try, by one of those who waited for the first.
        self.next: Flight | None = None
        self._is_over = False
        self._value: bytes | Failure = Failure(None, frozenset())
        self._gates: list[Gate] = []

    @property
    def is_over(self) -> bool:
        """Whether the value, or its failure, is there."""
        return self._is_over

    def wait(self) -> bytes | Failure:
        """The value, or why there is none, when that is known."""
        gate = Gate()
        self._gates.append(gate)
        while not self._is_over:
            gate.wait(threading.TIMEOUT_MAX)
        return self._value

    def end(self, value: bytes | Failure) -> None:
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

    def take(
        self, keys: Iterable[bytes], own: dict[bytes, Flight], failed: Mapping[bytes, Flight]
    ) -> dict[bytes, Flight]:
        """The flights of keys that others are making. Those of the other keys are now for the caller to make, and are added to `own`.

        `failed` are flights that the caller waited for in vain: of all who did, the first that comes here tries again, and the others get what
        comes of that, even if it has landed by now.
        """
        if self._process != os.getpid():
            # Those who were making values are threads of the process that this one was forked from.
            self._begin()
        caller = threading.get_ident()
        with self._lock:
            again = {key: flight.next for key, flight in failed.items()}
            found = {key: again.get(key) or self._flying.get(key) for key in keys}
            theirs = {key: flight for key, flight in found.items() if flight is not None}
            if any(flight.thread == caller and not flight.is_over for flight in theirs.values()):
                raise InvalidInputError(
                    "embedder: expected one that does not ask its own cache for what it is embedding"
                )
            # First where the caller lands them, wherever a signal comes in, and then where others find them.
            own.update({key: Flight(caller) for key in found if key not in theirs})
            self._flying.update(own)
            for key in own.keys() & failed.keys():
                failed[key].next = own[key]
        return theirs

    def land(self, own: Mapping[bytes, Flight], values: Mapping[bytes, bytes], errors: list[Exception]) -> None:
        """Hand values to those who wait, and the error for keys without one. It can be done again wherever it was left."""
        if not own:
            return
        with self._lock:
            self._landed += 1
            for key, flight in own.items():
                if self._flying.get(key) is flight:
                    del self._flying[key]
        failure = Failure(errors[0] if errors else None, own.keys())
        for key, flight in own.items():
            flight.end(values.get(key, failure))
