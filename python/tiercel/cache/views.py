"""Views of a mapping whose keys may disappear during an iteration."""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any, TypeVar, cast

from tiercel.cache.keys import Key

__all__ = ["Items", "Values"]

_Value = TypeVar("_Value")
_ABSENT: Any = object()


class Items(ItemsView[Key, _Value]):
    """A view of keys and values. It skips keys that disappear meanwhile."""

    def __iter__(self) -> Iterator[tuple[Key, _Value]]:
        for key in self._mapping:
            value = self._mapping.get(key, _ABSENT)
            if value is not _ABSENT:
                yield key, value


class Values(ValuesView[_Value]):
    """A view of values. It skips those that disappear meanwhile."""

    def __iter__(self) -> Iterator[_Value]:
        return (value for _, value in cast("ItemsView[Key, _Value]", self._mapping.items()))
