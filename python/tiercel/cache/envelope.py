"""What a cache writes around a value, so that every tier tells by itself whether it may still be given.

    0      1   2         4      8       16        24      32     40     48        56
    +------+---+---------+------+-------+---------+-------+------+------+---------+------+------
    | kind | 0 | bytes   | cost | epoch | written | fresh | grace| idle | touched | tags | value
    |      |   | of tags |      |       |         | until |      |      |         |      |
    +------+---+---------+------+-------+---------+-------+------+------+---------+------+------
     little endian; times in nanoseconds; a tag is its length in two bytes and its UTF-8

`epoch` is that of the namespace, and `written` the moment, when what the value comes from was begun to be read. So a value that was loaded
while its namespace or one of its tags was invalidated is never given, wherever it comes to lie.
"""

import struct
from typing import Final, NamedTuple

__all__ = ["FOREVER", "SECOND", "Envelope", "pack", "unpack"]

FOREVER: Final = 2**64 - 1
SECOND: Final = 10**9
_KIND: Final = 1
_HEAD: Final = struct.Struct("<BBHfQQQQQQ")
_LENGTH: Final = struct.Struct("<H")


class Envelope(NamedTuple):
    """What is known of a value."""

    cost: float
    """Seconds that it took to load."""
    epoch: int
    written: int
    fresh: int
    """Until when it is given, if it is used."""
    grace: int
    """How long past its time it may stand in for one that is being loaded, or cannot be."""
    idle: int
    """How long it may lie unused; 0 for any time."""
    touched: int
    """When it was last seen to be used."""
    tags: tuple[str, ...]

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
    cost, epoch, written, fresh, grace, idle, touched, tags = envelope
    labels = b"".join(_LENGTH.pack(len(tag)) + tag for tag in (tag.encode() for tag in tags)) if tags else b""
    return _HEAD.pack(_KIND, 0, len(labels), cost, epoch, written, fresh, grace, idle, touched) + labels + value


def unpack(data: bytes) -> tuple[Envelope, int] | None:
    """The envelope, and where the value begins; None for what is none."""
    if len(data) < _HEAD.size:
        return None
    kind, zero, size, cost, epoch, written, fresh, grace, idle, touched = _HEAD.unpack_from(data)
    start = _HEAD.size + size
    if kind != _KIND or zero or start > len(data):
        return None
    tags = _tags(data[_HEAD.size : start]) if size else ()
    return None if tags is None else (Envelope(cost, epoch, written, fresh, grace, idle, touched, tags), start)


def _tags(labels: bytes) -> tuple[str, ...] | None:
    tags: list[str] = []
    at = 0
    try:
        while at < len(labels):
            (size,) = _LENGTH.unpack_from(labels, at)
            at += _LENGTH.size + size
            if at > len(labels):
                return None
            tags.append(labels[at - size : at].decode())
    except (struct.error, UnicodeDecodeError):
        return None
    return tuple(tags)
