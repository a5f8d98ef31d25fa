"""Objects that hold something open, and so cannot be copied."""

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["Handle"]


class Handle:
    """Cannot be copied or pickled: closing the copy would close the original, too."""

    __slots__ = ()

    _instead: ClassVar[str] = "threads share it, and another process makes its own"
    """What to do instead of copying."""

    # `copy.copy`, `copy.deepcopy` and `pickle` all ask for this.
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {type(self).__name__}: {self._instead}")
