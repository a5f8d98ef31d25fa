"""A tier in Redis, or in what speaks like it."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tiercel.cache.remote.base import MOST, Page, RemoteTier
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

__all__ = ["Redis"]

# Keys that one step of a listing looks at.
STEP = 1000


class Redis(RemoteTier):
    """A tier in a Redis server, or Valkey; `pip install 'tiercel[redis]'`.

    Who stays is decided by the server (`maxmemory`, `maxmemory-policy`). Several processes may use one prefix, and each finds what the
    others put. Keys of another prefix are neither touched nor counted. `len`, `bytes` and iteration go through all keys of the database
    (SCAN). A cluster of servers is not supported.

    Parameters
    ----------
    url : str
        `redis://host:port/database`, `rediss://…` with TLS, or `unix://…`, with name and password where they are needed.
    prefix : str
        What the names of all keys begin with.
    level : int or None
        Level of zstd that values are compressed with, 1 to 22; None does not compress.
    soft : float
        Seconds after which a caller goes on with a miss, while the call goes on.
    hard : float
        Seconds after which a call is broken off.

    most : int
        Bytes of the largest value: a larger one is neither kept nor read.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be.
    MissingDependencyError
        `redis` is not installed.

    Examples
    --------
    >>> from tiercel.cache import Redis
    >>> with Redis("redis://127.0.0.1:1") as tier:  # nothing listens there
    ...     tier.put("greeting", b"hello"), tier.get("greeting"), tier.stats()["failures"]
    (False, None, 1)
    """

    batch: ClassVar[int] = 100

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "tiercel:",
        level: int | None = None,
        soft: float = 0.1,
        hard: float = 2.0,
        most: int = MOST,
    ) -> None:
        super().__init__(level=level, soft=soft, hard=hard, most=most)
        redis = needed("redis", "tiercel[redis]")
        self._url = url
        self._prefix = prefix.encode()
        # One try: an earlier one that is on its way yet could write an older value over a newer one.
        once = needed("redis.retry", "tiercel[redis]").Retry(needed("redis.backoff", "tiercel[redis]").NoBackoff(), 0)
        try:
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=hard, socket_connect_timeout=hard, retry=once, decode_responses=False
            )
        except ValueError as error:
            raise InvalidInputError(f"url: expected that of a Redis server, got {self._place!r}: {error}") from error

    def close(self) -> None:
        """Let go of the connections; what lies there stays. Doing it again changes nothing."""
        super().close()
        self._client.close()

    @property
    def _place(self) -> str:
        parts = urlsplit(self._url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

    def _full(self, name: str) -> bytes:
        return self._prefix + name.encode()

    def _read(self, names: list[str]) -> list[Any]:
        return self._client.mget([self._full(name) for name in names])

    def _write(self, name: str, content: bytes) -> None:
        self._client.set(self._full(name), content)

    def _remove(self, names: list[str]) -> None:
        self._client.unlink(*[self._full(name) for name in names])

    def _start(self, name: str, length: int) -> bytes:
        return self._client.getrange(self._full(name), 0, length - 1)

    def _exists(self, name: str) -> bool:
        return self._client.exists(self._full(name)) == 1

    def _pages(self, *, sized: bool) -> Iterator[Page]:
        # What `*`, `?`, `[` and `\\` stand for in a pattern is not meant.
        pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefix) + b"*"
        cursor, seen = None, set[bytes]()
        while cursor != 0:
            cursor, keys = self._client.scan(cursor or 0, match=pattern, count=STEP)
            # A server that makes room while it is listed tells keys twice.
            fresh = set(keys) - seen
            seen |= fresh
            names = [key[len(self._prefix) :].decode("ascii", "replace") for key in fresh]
            yield list(zip(names, self._sizes(fresh) if sized else [0] * len(names), strict=True))

    def _sizes(self, keys: set[bytes]) -> list[int]:
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.strlen(key)
            # Under a name may lie what is no string; that has no size.
            return [size if isinstance(size, int) else 0 for size in pipeline.execute(raise_on_error=False)]
