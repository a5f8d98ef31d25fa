"""The compiled core of tiercel. Import from `tiercel`, not from here."""

# Its stubs are in `_stubs`, a file a subject.
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
    """A context manager that calls a function when its block ends, and lets nothing keep that from happening.

    Python runs the handlers of signals between the calls of a program, so a Ctrl-C can come in after a `try` was left and before its `finally` has done
    anything, and within what that calls. This object is not written in Python: between the beginning of the block and the call there is no
    such place. A call that is interrupted is made again, to its end; then the interruption goes on. So the function must be one that can be called
    again wherever it was left, and raises nothing of its own.
    """

    def __new__(cls, work: Callable[..., object], /, *arguments: object) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None: ...

def simd_levels() -> dict[str, bool]:
    """Instruction sets by name, weakest first, and whether this machine has each."""

def simd_level() -> str:
    """The instruction set a new index would use: the best of the machine, or the one that TIERCEL_SIMD names.

    Raises `InvalidInputError` when TIERCEL_SIMD names an unknown one or one that the machine lacks.
    """

build_profile: Literal["release", "debug"]
"""How this module was compiled."""
