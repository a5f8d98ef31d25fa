"""A tier over any object with `get`, `put` and `delete`."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from tiercel.cache.remote.base import MOST, Page, RemoteTier
from tiercel.cache.remote.names import is_name
from tiercel.errors import InvalidInputError
from tiercel.forks import fork_lock

__all__ = ["Wrapped"]


class Wrapped(RemoteTier):
    """A tier over an object of your own.

    The object has `put(name, content)`, `delete(name)` and `get(name)`. For an absent name `get`
    returns None or raises `KeyError`. Names are `str` of at most 202 characters of `0-9a-z-`, and
    contents are bytes that only a tier can read. If the object has `keys()` or is iterable, that
    lists its names, and names that no tier wrote are skipped. Otherwise `len`, iteration and
    `clear` know only the names that were put through this tier. The methods are called from several
    threads.

    Parameters
    ----------
    object : object
        The object to call.
    soft_timeout : float
        Seconds after which the caller continues with a miss, while the call goes on.
    hard_timeout : float
        Seconds after which a call counts as failed.
    max_value_bytes : int
        The size limit of a value. A larger one is neither stored nor read.

    Raises
    ------
    InvalidInputError
        A method is missing, or an argument has the wrong type or is out of range.

    Examples
    --------
    >>> from tiercel.cache import Wrapped
    >>> class Shelf:
    ...     def __init__(self):
    ...         self.rows = {}
    ...         self.get, self.keys = self.rows.get, self.rows.keys
    ...
    ...     def put(self, name, content):
    ...         self.rows[name] = content
    ...
    ...     def delete(self, name):
    ...         del self.rows[name]
    >>> with Wrapped(Shelf()) as tier:
    ...     tier["greeting"] = b"hello"
    ...     tier["greeting"], list(tier)
    (b'hello', ['greeting'])
    """

    def __init__(
        self, object: Any, *, soft_timeout: float = 0.5, hard_timeout: float = 10.0, max_value_bytes: int = MOST
    ) -> None:
        missing = [each for each in ("get", "put", "delete") if not callable(getattr(object, each, None))]
        if missing:
            found = f"{type(object).__name__} without {missing[0]}"
            raise InvalidInputError(f"object: expected methods get, put and delete, got {found}")
        coroutines = [each for each in ("get", "put", "delete", "keys") if _is_coroutine(object, each)]
        if coroutines:
            raise InvalidInputError(
                f"object: expected methods that return when they are done, got the coroutine {coroutines[0]};"
                " wrap it, for example with asyncio.run_coroutine_threadsafe(...).result()"
            )
        super().__init__(
            level=None, soft_timeout=soft_timeout, hard_timeout=hard_timeout, max_value_bytes=max_value_bytes
        )
        self._object = object
        # The names that were put, if the object cannot list its names.
        self._known = None if hasattr(object, "keys") or hasattr(object, "__iter__") else set[str]()
        self._known_lock = fork_lock()

    @property
    def _place(self) -> str:
        return type(self._object).__name__

    def _read(self, names: list[str]) -> list[Any]:
        return [self._get(name) for name in names]

    def _get(self, name: str) -> Any:
        try:
            return self._object.get(name)
        except KeyError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        if self._known is not None:
            with self._known_lock:
                self._known.add(name)
        self._object.put(name, content)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(KeyError):
                self._object.delete(name)
            if self._known is not None:
                with self._known_lock:
                    self._known.discard(name)

    def _start(self, name: str, length: int) -> bytes:
        return bytes(self._get(name) or b"")[:length]

    def _exists(self, name: str) -> bool:
        return self._get(name) is not None

    def _pages(self, *, sized: bool) -> Iterator[Page]:
        if self._known is not None:
            with self._known_lock:
                names = list(self._known)
        else:
            names = list(self._object.keys() if hasattr(self._object, "keys") else self._object)
        ours = [name for name in names if isinstance(name, str) and is_name(name)]
        yield [(name, len(self._get(name) or b"") if sized else 0) for name in ours]


def _is_coroutine(owner: object, method: str) -> bool:
    return inspect.iscoroutinefunction(getattr(owner, method, None))
