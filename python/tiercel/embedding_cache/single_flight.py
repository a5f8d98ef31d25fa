"""Single flight of embeddings: many keys at once, and errors that concern a whole call."""

import threading
from collections.abc import Iterable, KeysView, Mapping
from typing import NamedTuple, final

from tiercel.errors import InvalidInputError
from tiercel.single_flight import Flight, SingleFlight

__all__ = ["EmbeddingFlight", "EmbeddingFlights", "Failure"]


class Failure(NamedTuple):
    """The reason why a flight has no value."""

    error: Exception | None
    """None if the leader was interrupted, which says nothing about the value."""
    keys: KeysView[bytes]
    """All keys of the call that failed, in the order in which the error counts them."""


@final
class EmbeddingFlight(Flight[bytes | Failure]):
    """A vector that is being made."""

    def __init__(self, key: bytes, thread: int) -> None:
        super().__init__(key)
        self.thread = thread


@final
class EmbeddingFlights(SingleFlight[EmbeddingFlight]):
    """The vectors that are being made. A leader must end all of its flights before it waits for others."""

    def __init__(self) -> None:
        super().__init__()
        self.completions = 0
        """Grows whenever vectors arrive: a caller that missed one before may find it now."""

    def join_all(
        self, keys: Iterable[bytes], own: dict[bytes, EmbeddingFlight], failed: Mapping[bytes, EmbeddingFlight]
    ) -> dict[bytes, EmbeddingFlight]:
        """Return the flights of keys that others lead. The flights that the caller leads are added to `own`.

        `failed` are flights that the caller has waited for in vain. It joins their successors, even
        if those are done by now.
        """
        caller = threading.get_ident()
        others: dict[bytes, EmbeddingFlight] = {}
        with self._lock:
            for key in keys:
                # In `own` first, so that the caller ends the flight even after a signal.
                own[key] = new = EmbeddingFlight(key, caller)
                flight = self._take_over(failed[key], new, _always) if key in failed else self._join(new, _always)
                if flight is not new:
                    others[key] = flight
                    del own[key]
        if any(flight.thread == caller and not flight.is_done for flight in others.values()):
            raise InvalidInputError("embedder: expected one that does not ask its own cache for what it is embedding")
        return others

    def end_all(
        self, own: Mapping[bytes, EmbeddingFlight], values: Mapping[bytes, bytes], errors: list[Exception]
    ) -> None:
        """End the flights of a leader with their values, and those without a value with the error."""
        if not own:
            return
        with self._lock:
            # Before the flights disappear: whoever finds none must see that vectors have arrived.
            self.completions += 1
        failure = Failure(errors[0] if errors else None, own.keys())
        for key, flight in own.items():
            self.remove(flight)
            flight.end(values.get(key, failure))


def _always(_: object) -> bool:
    return True
