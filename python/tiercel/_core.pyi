"""The compiled core of tiercel. Import from `tiercel`, not from here."""

# The stubs are in `_stubs`, one file per subject.
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self, final

from tiercel._stubs.cache import (
    FastPath,
    FilesCore,
    MemoryCore,
    PersistentTierCore,
    Sketch,
    StoreCore,
    TierCore,
    TierLook,
    pack_envelope,
    seal,
    unpack_envelope,
    unseal,
)
from tiercel._stubs.collection import CollectionCore, ScanCore
from tiercel._stubs.embedding import HashingEmbedder
from tiercel._stubs.index import Index, Matches

__all__ = [
    "CollectionCore",
    "FastPath",
    "FilesCore",
    "Finally",
    "HashingEmbedder",
    "Index",
    "Matches",
    "MemoryCore",
    "PersistentTierCore",
    "ScanCore",
    "Sketch",
    "StoreCore",
    "TierCore",
    "TierLook",
    "__version__",
    "build_profile",
    "pack_envelope",
    "seal",
    "simd_level",
    "simd_levels",
    "unpack_envelope",
    "unseal",
]

__version__: str

@final
class Finally:
    """A context manager that calls a function when its block ends, whatever signals arrive.

    Python runs signal handlers between the steps of a program. So a Ctrl-C can interrupt a
    `finally` before its first statement, or inside the functions that it calls. This object is
    compiled: no handler runs between the block and the call. An interrupted call is repeated until
    it completes, at most 16 times in all; then the interruption is raised. So the function must be
    safe to repeat wherever it was interrupted, and must raise nothing itself.
    """

    def __new__(cls, work: Callable[..., object], /, *arguments: object) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None: ...

def simd_levels() -> dict[str, bool]:
    """Return whether this machine has each instruction set, by name, weakest first."""

def simd_level() -> str:
    """Return the instruction set that a new index uses: the machine's best, or the one that
    TIERCEL_SIMD names.

    Raises `InvalidInputError` if TIERCEL_SIMD names one that is unknown or that the machine lacks.
    """

build_profile: Literal["release", "debug"]
"""How this module was compiled."""
