"""A decorator that caches the results of a function."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from reprlib import Repr
from threading import get_ident
from typing import Any, Concatenate, Final, TypeAlias, TypeVar, cast

from tiercel.cache.stable import copied, known_by, stable_key
from tiercel.errors import InvalidInputError

__all__ = ["memoized"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
# Returns or loads the value of a key. Options are keywords.
_Loads: TypeAlias = Callable[Concatenate[bytes, Callable[[Any], Any], ...], Any]
# The longest call in a message, in characters.
_SHOWN: Final = 120
_SHORT: Final = Repr()


class _CallKey(bytes):
    """The key of a call. Messages show the call instead."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        name = self.function.__qualname__.rpartition("<locals>.")[2]
        try:
            named = [f"{name}={_SHORT.repr(value)}" for name, value in self.kwargs.items()]
            shown = ", ".join([*map(_SHORT.repr, self.args), *named])
        except Exception:  # noqa: BLE001 - arguments may raise anything, and the message is about another error
            shown = "..."
        return f"{name}({shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'})"


def _copied_arguments(key: _CallKey, name: str | None) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Copy the arguments for a refresh in the background, which runs beside the caller.

    So the function does not see what the caller changes from now on, and the caller does not see
    what the function changes. Refuse arguments that the caller has changed before.
    """
    args, kwargs = copied(key.args), copied(key.kwargs)
    if stable_key(key.function, args, kwargs, name) != key:
        raise InvalidInputError(
            "arguments: expected them as they were when the call returned a stale result, got others"
        )
    return args, kwargs


def memoized(
    get_or_load: _Loads, aget_or_load: _Loads, name: str | None, **options: Any
) -> Callable[[_Function], _Function]:
    """Implement `Cache.memoize` on these methods of the cache, for functions and for coroutine functions."""

    def key_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _CallKey:
        key = _CallKey(stable_key(function, args, kwargs, name))
        key.function, key.args, key.kwargs = function, args, kwargs
        return key

    def decorate(function: _Function) -> _Function:
        known_by(function, name)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidInputError(
                f"function: expected one whose result can be read more than once, got the generator function {function.__name__}; "
                "return a list of what it yields"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wait(*args: Any, **kwargs: Any) -> Any:
                key, task, returned = key_of(function, args, kwargs), asyncio.current_task(), False

                async def load(_: Any) -> Any:
                    if not returned and asyncio.current_task() is task:
                        return await function(*args, **kwargs)
                    own, named = _copied_arguments(key, name)
                    return await function(*own, **named)

                try:
                    return await aget_or_load(key, load, **options)
                finally:
                    returned = True

            called: Any = wait
        else:

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                key, thread, returned = key_of(function, args, kwargs), get_ident(), False

                def load(_: Any) -> Any:
                    if not returned and get_ident() == thread:
                        return function(*args, **kwargs)
                    own, named = _copied_arguments(key, name)
                    return function(*own, **named)

                try:
                    return get_or_load(key, load, **options)
                finally:
                    returned = True

            called = call

        def cache_key(*args: Any, **kwargs: Any) -> bytes:
            return stable_key(function, args, kwargs, name)

        called.cache_key = cache_key
        return cast("_Function", called)

    return decorate
