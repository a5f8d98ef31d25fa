"""Methods that wait, as coroutines."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["twin"]

_Owner = TypeVar("_Owner")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def twin(
    method: Callable[Concatenate[_Owner, _Arguments], _Result],
    apart: Callable[..., Awaitable[_Result]] = asyncio.to_thread,
) -> Callable[Concatenate[_Owner, _Arguments], Coroutine[Any, Any, _Result]]:
    """The same method on a thread of the event loop, or wherever `apart` runs it; its name begins with an `a`."""

    @functools.wraps(method)
    async def run(self: _Owner, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return await apart(functools.partial(method, self, *args, **kwargs))

    run.__name__ = f"a{method.__name__}"
    run.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{run.__name__}"
    run.__doc__ = f"`{method.__name__}` on another thread: the same arguments, result and errors."
    return run
