"""A decorator that keeps what a function returns."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tiercel.cache.stable import known_by, stable_key

if TYPE_CHECKING:
    from tiercel.cache.loading import Loading

__all__ = ["memoized"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def memoized(cache: "Loading", name: str | None, **terms: Any) -> Callable[[_Function], _Function]:
    """See `Cache.memoize`."""

    def decorate(function: _Function) -> _Function:
        known_by(function, name)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wait(*args: Any, **kwargs: Any) -> Any:
                key = stable_key(function, args, kwargs, name)
                return await cache.aget_or_load(key, lambda _: function(*args, **kwargs), **terms)

            called: Any = wait
        else:

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                key = stable_key(function, args, kwargs, name)
                return cache.get_or_load(key, lambda _: function(*args, **kwargs), **terms)

            called = call

        def cache_key(*args: Any, **kwargs: Any) -> bytes:
            return stable_key(function, args, kwargs, name)

        called.cache_key = cache_key
        return cast("_Function", called)

    return decorate
