"""Envelopes: metadata around a value, from which a cache decides whether the value is still valid.

`epoch`, `turn` and `written` describe the moment when the load or write of the value began: the
epoch and turn of the namespace, and the time. A value that was loaded while its namespace or one of
its tags was invalidated is therefore never returned, whichever tier holds it.
`rust/cache/src/envelope.rs` describes the layout.
"""

from typing import Final, NamedTuple

from tiercel._core import pack_envelope, unpack_envelope
from tiercel.cache.large import joined, tail

__all__ = ["FOREVER", "SECOND", "Envelope", "as_copy", "is_copy", "pack", "unpack"]

FOREVER: Final = 2**64 - 1
SECOND: Final = 10**9


class Envelope(NamedTuple):
    """Metadata of a value, with times in nanoseconds."""

    cost: float
    """Seconds that the load took."""
    epoch: int
    turn: int
    """The number of invalidations of tags in the namespace."""
    written: int
    fresh: int
    """When the value expires, apart from `idle`."""
    grace: int
    """How long the expired value may still be returned, during a reload or after it failed."""
    idle: int
    """How long the value may go unread; 0 for no limit."""
    touched: int
    """The time of the last recorded read."""
    tags: list[str]

    @property
    def end(self) -> int:
        """When the value expires."""
        return min(self.fresh, self.touched + self.idle) if self.idle else self.fresh

    def is_fresh(self, now: int) -> bool:
        """Whether the value has not expired."""
        return now < self.end

    def is_kept(self, now: int) -> bool:
        """Whether the value is fresh or within its grace period."""
        return now < self.end + self.grace


def pack(envelope: Envelope, value: bytes) -> bytes:
    """Encode an envelope with its value."""
    return pack_envelope(envelope, value)


def unpack(data: bytes) -> tuple[Envelope, int] | None:
    """Return the envelope and the offset of the value; None if the bytes are not an envelope."""
    found = unpack_envelope(data)
    return None if found is None else (Envelope(*found[0]), found[1])


def as_copy(data: bytes) -> bytes:
    """Mark an entry as a copy of one in a remote tier, so that it is not written back there."""
    return joined(data[:1], b"\x01", tail(data, 2))


def is_copy(data: bytes) -> bool:
    """Whether an entry is marked as a copy."""
    return data[1:2] == b"\x01"
