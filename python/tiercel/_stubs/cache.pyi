"""The core of the tiers of a cache. Import from `tiercel`, not from here."""

from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Self, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer, disjoint_base

from tiercel.cache.tiers import TierStats

_Key: TypeAlias = str | bytes
# In the class, the property `bytes` hides the type.
_Content: TypeAlias = bytes
_T = TypeVar("_T")
_Envelope: TypeAlias = tuple[float, int, int, int, int, int, int, int, list[str]]

@disjoint_base
class TierCore:
    """The interface of every tier: bytes by key."""

    def __getitem__(self, key: _Key, /) -> _Content:
        """Return self[key]."""
    def __setitem__(self, key: _Key, value: Buffer, /) -> None:
        """Set self[key] to value."""
    def __delitem__(self, key: _Key, /) -> None:
        """Delete self[key]."""
    def __contains__(self, key: object, /) -> bool:
        """Whether a key is present; False for anything that is neither a str nor bytes."""
    def __len__(self) -> int:
        """Number of keys."""
    def __iter__(self) -> Iterator[_Key]:
        """Iterate over the current keys, in no particular order."""
    @overload
    def get(self, key: _Key, default: None = None) -> _Content | None: ...
    @overload
    def get(self, key: _Key, default: _Content) -> _Content: ...
    @overload
    def get(self, key: _Key, default: _T) -> _Content | _T: ...
    def get_many(self, keys: Iterable[_Key]) -> list[_Content | None]:
        """Get the values of keys, in their order; None for each missing key."""
    def put(self, key: _Key, value: Buffer) -> bool:
        """Store a value. Return False if it is too large for the tier or the disk refuses it."""
    def put_evicting(self, key: _Key, value: Buffer) -> tuple[bool, list[tuple[_Key, _Content]]]:
        """Store a value. Return whether that succeeded, and the entries that were evicted.

        A replaced value is not among them, but the new one is if the tier evicts it at once. A
        refused value evicts nothing.
        """
    def delete(self, key: _Key) -> bool:
        """Delete a key. Return whether it was present."""
    def clear(self) -> None:
        """Remove everything and release the memory.

        If the disk refuses, `stats()` counts it and `flush` returns False.
        """
    @property
    def bytes(self) -> int:
        """Bytes that count against the size of the tier."""
    def stats(self) -> TierStats:
        """Return the contents, and counters since the tier was opened."""

class MemoryCore(TierCore):
    """The core of `tiercel.cache.Memory`. Use that class."""

    def __new__(cls, bytes: int) -> Self: ...

class PersistentTierCore(TierCore):
    """The additional interface of tiers that outlive the process."""

    def flush(self) -> bool:
        """Write the buffer and sync the files.

        If this returns True, all earlier puts and deletions survive a power cut.

        Return False if the disk refuses, or has refused since the last flush: the tier is then
        empty.
        """
    def write(self) -> bool:
        """Write the buffer to the files without a sync, so that it survives the process, but not a
        power cut. Return False if the disk refuses.
        """
    def close(self) -> None:
        """Write the buffer and close the files. Closing twice is harmless."""
    @property
    def closed(self) -> bool:
        """Whether the tier was closed."""

class StoreCore(PersistentTierCore):
    """The core of `tiercel.cache.Store`. Use that class."""

    def __new__(
        cls, path: str | PathLike[str], bytes: int, level: int | None = None, *, create: bool = True
    ) -> Self: ...

@final
class TierLook:
    """A look at the directory of a `Store` or `Files` that changes nothing.

    While it lives, nobody can open the directory for writing.
    """

    def __new__(cls, path: str | PathLike[str], files: bool) -> Self: ...
    @property
    def entries(self) -> int:
        """Number of keys."""
    @property
    def bytes(self) -> int:
        """Bytes that count against the size of the tier."""
    @property
    def damaged(self) -> int:
        """Number of damaged parts, not counting values."""
    def is_whole(self, number: int) -> bool:
        """Whether the value with this number is intact."""

class FilesCore(PersistentTierCore):
    """The core of `tiercel.cache.Files`. Use that class."""

    def __new__(cls, path: str | PathLike[str], bytes: int, level: int | None = 3, *, create: bool = True) -> Self: ...

def pack_envelope(fields: _Envelope, value: Buffer) -> bytes:
    """Encode an envelope with its value: cost, epoch, turn, written, fresh until, grace, idle,
    touched, tags.
    """

def unpack_envelope(data: bytes) -> tuple[_Envelope, int] | None:
    """Decode an envelope: return its fields and the offset of the value; None for other bytes."""

@final
class FastPath:
    """Fast reads from a memory tier: of fresh values of the current epoch without tags or idle
    time.
    """

    def __new__(cls, memory: MemoryCore, sketch: Sketch) -> Self: ...
    def get(self, name: _Key, epoch: int, now: int) -> bytes | None:
        """Count the key in the sketch; return its value if the tier has a valid one."""

    def latencies(self) -> list[int]:
        """Return how many reads returned a value, by time: at index n, in less than 2**n
        nanoseconds and at least half of that.
        """

@final
class Sketch:
    """Estimates how often keys were added recently, up to 15.

    An estimate is never too low for the additions since the last halving.

    Parameters
    ----------
    width : int
        Keys to distinguish, 1 to 2**28; each takes two bytes. All counts are halved after
        10 * width additions, and again after every 5 * width more.

    Raises
    ------
    InvalidInputError
        `width` is not an int in this range.

    Examples
    --------
    >>> from tiercel._core import Sketch
    >>> sketch = Sketch(1000)
    >>> sketch.add("a"), sketch.add("a"), sketch.count("a"), sketch.count("b")
    (1, 2, 2, 0)
    """

    def __new__(cls, width: int) -> Self: ...
    def add(self, key: _Key) -> int:
        """Add a key; return its new estimate."""
    def count(self, key: _Key) -> int:
        """Estimate how often a key was added."""

def seal(key: _Key, value: Buffer, level: int | None = None) -> bytes:
    """Add a checksum of key and value, and compress the value with zstd if that makes it smaller.

    Raises `InvalidInputError` if the key or the value has the wrong type, or the level is neither
    None nor from 1 to 22.
    """

def unseal(key: _Key, frame: Buffer, most: int) -> bytes | None:
    """Return the value in a sealed frame; None if the frame is damaged or of another key, or the
    value exceeds `most` bytes.

    Raises `InvalidInputError` if an argument has the wrong type or `most` is out of range.
    """
