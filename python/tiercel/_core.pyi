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
    """A context manager that calls a function when its block ends, and lets nothing prevent that.

    Python runs signal handlers between instructions, so a Ctrl-C can arrive after a `try` block
    but before its `finally` has acted, or within what that calls. This object is not written in
    Python and leaves no such gap between the block and the call. An interrupted call is repeated
    until it completes; then the interruption is raised. The function must therefore be safe to
    repeat from any point, and raise nothing itself.
    """

    def __new__(cls, work: Callable[..., object], /, *arguments: object) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None: ...

def simd_levels() -> dict[str, bool]:
    """List instruction sets by name, weakest first, and whether this machine has each."""

def simd_level() -> str:
    """Return the instruction set that a new index would use: the best of the machine, or the
    one that TIERCEL_SIMD names.

    Raises `InvalidInputError` if TIERCEL_SIMD names an unknown one or one that the machine
    lacks.
    """

build_profile: Literal["release", "debug"]
"""How this module was compiled."""
