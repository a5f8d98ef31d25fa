"""An entry that was found in a tier."""

from typing import NamedTuple

from tiercel.cache.envelope import Envelope, as_copy, is_copy, pack

__all__ = ["Entry"]


class Entry(NamedTuple):
    """The bytes of an entry, and its parsed envelope."""

    data: bytes
    envelope: Envelope
    start: int
    tier: int

    def touched(self, now: int) -> bytes:
        """Return the bytes with a read recorded now."""
        data = pack(self.envelope._replace(touched=now), self.data[self.start :])
        return as_copy(data) if is_copy(self.data) else data
