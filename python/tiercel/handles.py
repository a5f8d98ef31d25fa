"""What holds something open, and so is the only one of its kind."""

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["Handle"]


class Handle:
    """Cannot be copied or pickled: a copy would hold the same, and its end would close that for the original, too."""

    __slots__ = ()

    _instead: ClassVar[str] = "threads share it, and another process makes its own"
    """What to do where a copy is wanted."""

    # `copy.copy`, `copy.deepcopy` and `pickle` all ask for this.
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {type(self).__name__}: {self._instead}")
