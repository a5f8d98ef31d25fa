"""A tier in the files of an agent: a `Wrapped` package whose calls are coroutines."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

from tiercel.cache.remote.base import MOST
from tiercel.cache.remote.wrapped import Wrapped
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError
from tiercel.paths import path_name

__all__ = ["AgentFS"]

T = TypeVar("T")
FOLDER = "/tiercel"


class AgentFS(Wrapped):
    """A tier in an AgentFS, a database that holds the files of an agent; `pip install 'tiercel[agentfs]'`.

    Values are files in its folder `/tiercel`. Only one process at a time may use a database. In a
    forked child every call is a miss.

    Parameters
    ----------
    path_or_agent : str, os.PathLike or agentfs_sdk.AgentFS
        A database file, which is created if it is missing; or an open AgentFS, passed from within
        the event loop that opened it. That loop must not wait for calls to the tier: make them on
        other threads (`asyncio.to_thread`).
    soft_timeout : float
        Seconds after which the caller continues with a miss, while the call goes on.
    hard_timeout : float
        Seconds after which a call counts as failed.
    max_value_bytes : int
        The size limit of a value. A larger one is neither stored nor read.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.
    MissingDependencyError
        `agentfs-sdk` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from tiercel.cache import AgentFS
    >>> with tempfile.TemporaryDirectory() as directory, AgentFS(f"{directory}/agent.db") as tier:
    ...     tier["greeting"] = b"hello"
    ...     tier["greeting"], list(tier)
    (b'hello', ['greeting'])
    """

    survives_fork: ClassVar[bool] = False

    def __init__(
        self, path_or_agent: Any, *, soft_timeout: float = 0.5, hard_timeout: float = 10.0, max_value_bytes: int = MOST
    ) -> None:
        super().__init__(
            _Files(path_or_agent), soft_timeout=soft_timeout, hard_timeout=hard_timeout, max_value_bytes=max_value_bytes
        )

    def close(self) -> None:
        """Close the database, which keeps its contents. Closing twice is harmless."""
        if not self.closed:
            super().close()
            # Like every call, this one is abandoned if it hangs.
            self._guard.ask(self._object.close, patient=True)


class _Files:
    """The files of an agent, with `get`, `put`, `delete` and `keys`.

    It makes one call at a time, because a write is several statements.
    """

    def __init__(self, path_or_agent: Any) -> None:
        package = needed("agentfs_sdk", "tiercel[agentfs]")
        self._one_at_a_time = threading.Lock()
        self._own = isinstance(path_or_agent, str | os.PathLike)
        if self._own:
            path = path_name(path_or_agent, "path_or_agent")
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_until_stopped, args=[self._loop], name="tiercel agentfs", daemon=True).start()
            options = package.AgentFSOptions(path=path)
            self._agent = self._run(package.AgentFS.open(options))
        elif isinstance(path_or_agent, package.AgentFS):
            self._agent = path_or_agent
            self._loop = asyncio.get_running_loop()
        else:
            raise InvalidInputError(f"path_or_agent: expected a path or an AgentFS, got {path_or_agent!r:.100}")
        self._missing = package.ErrnoException

    def get(self, name: str) -> bytes | None:
        try:
            return self._run(self._agent.fs.read_file(f"{FOLDER}/{name}", encoding=None))
        except self._missing:
            return None

    def put(self, name: str, content: bytes) -> None:
        self._run(self._agent.fs.write_file(f"{FOLDER}/{name}", content))

    def delete(self, name: str) -> None:
        if self.get(name) is not None:
            self._run(self._agent.fs.unlink(f"{FOLDER}/{name}"))

    def keys(self) -> list[str]:
        try:
            return self._run(self._agent.fs.readdir(FOLDER))
        except self._missing:
            return []

    def close(self) -> None:
        if self._own:
            self._run(self._agent.close())
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._one_at_a_time:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
