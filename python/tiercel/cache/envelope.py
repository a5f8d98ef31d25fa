"""What a cache writes around a value, so that every tier tells by itself whether it may still be given.

`epoch` and `turn` are those of the namespace, and `written` the moment, when what the value comes from was begun to be read. So a value that
was loaded while its namespace or one of its tags was invalidated is never given, wherever it comes to lie. How an envelope is laid out stands
in `rust/cache/src/envelope.rs`.
"""

from typing import Final, NamedTuple

from tiercel._core import pack_envelope, unpack_envelope
from tiercel.cache.large import joined, tail

__all__ = ["FOREVER", "SECOND", "Envelope", "as_copy", "is_copy", "pack", "unpack"]

FOREVER: Final = 2**64 - 1
SECOND: Final = 10**9


class Envelope(NamedTuple):
    """What is known of a value; moments and times in nanoseconds."""

    cost: float
    """Seconds that it took to load."""
    epoch: int
    turn: int
    """How often tags of the namespace had been invalidated."""
    written: int
    fresh: int
    """Until when it is given, if it is used."""
    grace: int
    """How long past its time it may stand in for one that is being loaded, or cannot be."""
    idle: int
    """How long it may lie unused; 0 for any time."""
    touched: int
    """When it was last seen to be used."""
    tags: list[str]

    @property
    def end(self) -> int:
        """Until when it is given as it is."""
        return min(self.fresh, self.touched + self.idle) if self.idle else self.fresh

    def is_fresh(self, now: int) -> bool:
        """Whether it is given as it is."""
        return now < self.end

    def is_kept(self, now: int) -> bool:
        """Whether it may stand in for one that is being loaded, or cannot be."""
        return now < self.end + self.grace


def pack(envelope: Envelope, value: bytes) -> bytes:
    """An envelope with its value."""
    return pack_envelope(envelope, value)


def unpack(data: bytes) -> tuple[Envelope, int] | None:
    """The envelope, and where the value begins; None for what is none."""
    found = unpack_envelope(data)
    return None if found is None else (Envelope(*found[0]), found[1])


def as_copy(data: bytes) -> bytes:
    """The same, marked as a copy of what a tier outside of the process has: it need not be written there again, and must not."""
    return joined(data[:1], b"\x01", tail(data, 2))


def is_copy(data: bytes) -> bool:
    """Whether it is marked so."""
    return data[1:2] == b"\x01"
