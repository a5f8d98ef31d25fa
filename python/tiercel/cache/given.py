"""What a cache is handed, looked at before anything changes."""

from collections.abc import Callable, Iterable
from typing import Any

from tiercel.cache.level import AnyTier
from tiercel.cache.tiers import Key
from tiercel.checks import items, whole
from tiercel.errors import InvalidInputError

__all__ = ["given_clock", "given_keys", "given_loader", "given_tiers"]


def given_tiers(tiers: Iterable[Any]) -> list[AnyTier]:
    """Tiers, each once; what is no tier and can be one is made one."""
    listed = items(tiers)
    if not listed:
        raise InvalidInputError(f"tiers: expected a list of tiers, got {tiers!r}")
    for at, tier in enumerate(listed):
        if any(tier is earlier for earlier in listed[:at]):
            raise InvalidInputError(f"tiers[{at}]: expected another tier than those before, got the same {tier!r}")
    return [_given_tier(tier, f"tiers[{at}]") for at, tier in enumerate(listed)]


def _given_tier(tier: Any, place: str) -> AnyTier:
    from tiercel.cache.cache import Cache
    from tiercel.cache.outside import Wrapped

    if hasattr(tier, "put_evicting"):
        return tier
    # A cache has the methods of an object that can be wrapped, and keeps values of its own kind.
    if isinstance(tier, Cache) or not all(callable(getattr(tier, name, None)) for name in ("get", "put", "delete")):
        raise InvalidInputError(
            f"{place}: expected a tier, or an object with get, put and delete, got {type(tier).__name__}"
        )
    return Wrapped(tier)


def given_keys(keys: Iterable[Key]) -> list[Key]:
    """Keys in a list."""
    listed = items(keys)
    if listed is None:
        raise InvalidInputError(f"keys: expected an iterable of str or bytes, got {type(keys).__name__}")
    for at, key in enumerate(listed):
        if not isinstance(key, str | bytes):
            raise InvalidInputError(f"keys[{at}]: expected str or bytes, got {type(key).__name__}")
    return listed


def given_loader(loader: Any) -> Any:
    """What loads a value, or many."""
    if not callable(loader):
        raise InvalidInputError(f"loader: expected a function, got {type(loader).__name__}")
    return loader


def given_clock(clock: Callable[[], int]) -> Callable[[], int]:
    """What tells the time."""
    if not callable(clock):
        raise InvalidInputError(f"clock: expected a function, got {type(clock).__name__}")
    whole(clock(), "clock()", 0, 2**63 - 1)
    return clock
