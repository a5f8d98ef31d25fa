"""Checks of the arguments of a cache, before anything changes."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, cast

from tiercel.cache.keys import Key
from tiercel.cache.queued_tier import AnyTier
from tiercel.cache.remote.wrapped import Wrapped
from tiercel.checks import items, refuse_unordered, shown, whole
from tiercel.errors import InvalidInputError

__all__ = ["checked_clock", "checked_keys", "checked_loader", "checked_tiers", "refuse_coroutine", "refuse_used_up"]

# Objects that can be consumed only once.
_ONCE: Final[tuple[type, ...]] = (Iterator, AsyncIterator, Awaitable)


def checked_tiers(tiers: Iterable[Any], *, refused: type) -> list[AnyTier]:
    """Check the tiers, and wrap objects that are not tiers but can serve as one.

    Refuse objects of the class `refused`, which have the methods of a tier but do not store bytes.
    """
    listed = items(tiers)
    if not listed:
        raise InvalidInputError(f"tiers: expected a list of tiers, got {shown(tiers)}")
    for at, tier in enumerate(listed):
        if any(tier is earlier for earlier in listed[:at]):
            raise InvalidInputError(f"tiers[{at}]: expected each tier once, got {shown(tier)} again")
    return [_checked_tier(tier, f"tiers[{at}]", refused) for at, tier in enumerate(listed)]


def _checked_tier(tier: Any, place: str, refused: type) -> AnyTier:
    if hasattr(tier, "put_evicting"):
        return tier
    if isinstance(tier, refused) or not all(callable(getattr(tier, name, None)) for name in ("get", "put", "delete")):
        raise InvalidInputError(
            f"{place}: expected a tier, or an object with get, put and delete, got {type(tier).__name__}"
        )
    return Wrapped(tier)


def checked_keys(keys: Iterable[Key]) -> list[Key]:
    """Check keys and return them as a list, because results come in their order."""
    refuse_unordered(keys, "keys")
    listed = items(keys)
    if listed is None:
        raise InvalidInputError(f"keys: expected an iterable of str or bytes, got {type(keys).__name__}")
    for at, key in enumerate(listed):
        if not isinstance(key, str | bytes):
            raise InvalidInputError(f"keys[{at}]: expected str or bytes, got {type(key).__name__}")
    return listed


def checked_loader(loader: Any) -> Any:
    """Check a loader of one value or many."""
    if not callable(loader):
        raise InvalidInputError(f"loader: expected a function, got {type(loader).__name__}")
    return loader


def refuse_coroutine(value: Any, instead: str) -> None:
    """Refuse a coroutine, which nobody would await."""
    if inspect.isawaitable(value):
        _close(cast("object", value))
        raise InvalidInputError(
            f"loader: expected a plain function, got a coroutine: await {instead}, or memoize an `async def`"
        )


def refuse_used_up(value: object, place: str, use: str, key: Key | None = None) -> None:
    """Refuse a value that can be read only once: later readers would get nothing."""
    kind = type(value)
    if not issubclass(kind, _ONCE):
        return
    _close(value)
    if isinstance(value, Awaitable):
        cure = "await it first"
    elif isinstance(value, Iterator):
        cure = f"{use} a list of its items"
    else:
        cure = f"{use} [each async for each in ...]"
    whose = "" if key is None else f" for {key!r}"
    raise InvalidInputError(
        f"{place}: expected a value{whose} that can be read more than once, got {kind.__name__}; {cure}"
    )


def _close(value: object) -> None:
    """Close a coroutine, which would otherwise warn that it was never awaited."""
    if inspect.iscoroutine(value):
        value.close()


def checked_clock(clock: Callable[[], int]) -> Callable[[], int]:
    """Check a clock."""
    if not callable(clock):
        raise InvalidInputError(f"clock: expected a function, got {type(clock).__name__}")
    whole(clock(), "clock()", 0, 2**63 - 1)
    return clock
