"""A tier in Redis, or a compatible server."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tiercel.cache.remote.base import MOST, Page, RemoteTier
from tiercel.checks import unicode_text
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

__all__ = ["Redis"]

# Keys that one step of a listing visits.
STEP = 1000


class Redis(RemoteTier):
    """A tier in a Redis or Valkey server; `pip install 'tiercel[redis]'`.

    The server evicts (`maxmemory`, `maxmemory-policy`). Several processes may share a prefix, and each finds what the
    others put. Keys with another prefix are neither touched nor counted. `len`, `bytes` and iteration scan all keys of
    the database (SCAN). Redis Cluster is not supported.

    Parameters
    ----------
    url : str
        `redis://host:port/database`, `rediss://…` with TLS, or `unix://…`, with user and password if required.
    prefix : str
        The prefix of all keys.
    level : int or None
        The zstd level, 1 to 22; None does not compress.
    soft_timeout : float
        Seconds after which the caller continues with a miss, while the call goes on.
    hard_timeout : float
        Seconds after which a call is cancelled.
    max_value_bytes : int
        The size limit of a value. A larger one is neither stored nor read.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.
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
        soft_timeout: float = 0.1,
        hard_timeout: float = 2.0,
        max_value_bytes: int = MOST,
    ) -> None:
        super().__init__(
            level=level, soft_timeout=soft_timeout, hard_timeout=hard_timeout, max_value_bytes=max_value_bytes
        )
        redis = needed("redis", "tiercel[redis]")
        self._url = unicode_text(url, "url")
        self._prefix = unicode_text(prefix, "prefix").encode()
        # No retries: a late attempt could write an older value over a newer one.
        once = needed("redis.retry", "tiercel[redis]").Retry(needed("redis.backoff", "tiercel[redis]").NoBackoff(), 0)
        try:
            self._client: Any = redis.Redis.from_url(
                url,
                socket_timeout=hard_timeout,
                socket_connect_timeout=hard_timeout,
                retry=once,
                decode_responses=False,
            )
        except ValueError as error:
            raise InvalidInputError(f"url: expected the URL of a Redis server, got {self._place!r}: {error}") from error

    def close(self) -> None:
        """Close the connections; the server keeps its contents. Closing twice is harmless."""
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
        # The prefix is literal, so `*`, `?`, `[`, `]` and `\\` are escaped.
        pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefix) + b"*"
        cursor, seen = None, set[bytes]()
        while cursor != 0:
            cursor, keys = self._client.scan(cursor or 0, match=pattern, count=STEP)
            # A scan of a server that evicts or resizes may return a key twice.
            fresh = set(keys) - seen
            seen |= fresh
            names = [key[len(self._prefix) :].decode("ascii", "replace") for key in fresh]
            yield list(zip(names, self._sizes(fresh) if sized else [0] * len(names), strict=True))

    def _sizes(self, keys: set[bytes]) -> list[int]:
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.strlen(key)
            # A key may hold another type than a string, which has no length.
            return [size if isinstance(size, int) else 0 for size in pipeline.execute(raise_on_error=False)]
