"""Async versions of blocking methods."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["async_method"]

_Owner = TypeVar("_Owner")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _called(method: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> _Result:
    """Call a method whose result is awaited. A future accepts no StopIteration, and would never end."""
    try:
        return method(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError(f"raised {error!r}") from error


def async_method(
    method: Callable[Concatenate[_Owner, _Arguments], _Result],
    in_thread: Callable[..., Awaitable[_Result]] = asyncio.to_thread,
) -> Callable[Concatenate[_Owner, _Arguments], Coroutine[Any, Any, _Result]]:
    """Make a coroutine method that runs a method on another thread. Its name has the prefix `a`."""

    @functools.wraps(method)
    async def run(self: _Owner, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return await in_thread(functools.partial(_called, method, self, *args, **kwargs))

    run.__name__ = f"a{method.__name__}"
    run.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{run.__name__}"
    run.__doc__ = f"`{method.__name__}` on another thread: the same arguments, result and errors."
    return run
