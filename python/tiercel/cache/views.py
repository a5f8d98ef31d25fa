"""Items and values of a mapping that may forget."""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any, TypeVar

from tiercel.cache.tiers import Key

__all__ = ["Items", "Values"]

_Value = TypeVar("_Value")
_ABSENT: Any = object()


class Items(ItemsView[Key, _Value]):
    """Keys and values; keys that leave meanwhile are passed over."""

    def __iter__(self) -> Iterator[tuple[Key, _Value]]:
        for key in self._mapping:
            value = self._mapping.get(key, _ABSENT)
            if value is not _ABSENT:
                yield key, value


class Values(ValuesView[_Value]):
    """Values; those that leave meanwhile are passed over."""

    def __iter__(self) -> Iterator[_Value]:
        for _, value in Items[_Value](self._mapping):
            yield value
