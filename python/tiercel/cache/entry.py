"""A value that was found in a tier."""

from typing import NamedTuple

from tiercel.cache.envelope import Envelope, as_copy, is_copy, pack

__all__ = ["Entry"]


class Entry(NamedTuple):
    """A value that was found, with its envelope before it."""

    data: bytes
    envelope: Envelope
    start: int
    tier: int

    def touched(self, now: int) -> bytes:
        """The same, marked as used at this moment."""
        data = pack(self.envelope._replace(touched=now), self.data[self.start :])
        return as_copy(data) if is_copy(self.data) else data
