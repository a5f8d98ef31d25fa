"""A tier in an object store: S3 and compatible stores, Google Cloud Storage, Azure, or a directory."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, cast

from tiercel.cache.remote.base import BESIDE, MOST, Page, RemoteTier
from tiercel.checks import unicode_text
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

__all__ = ["Object"]

# Objects in a page of a listing, and the most that S3 deletes in one request.
PAGE = 1000
# The first process that used an object store. A forked child lacks the threads of obstore, so all
# its calls would wait forever.
_first_process: int | None = None


class Object(RemoteTier):
    """A tier in an object store, through the `object_store` crate; `pip install 'tiercel[object]'`.

    Values are never evicted: use a lifecycle rule of the bucket. Several processes may share a
    location, and each finds what the others put. Other objects in the bucket are neither touched
    nor counted. `len`, `bytes` and iteration list the location, with one request per thousand
    objects and one per key of more than 100 bytes. Requests are not retried: a failure is a miss.
    In a process forked from one that used an object store, every call is a miss, because the
    threads of the crate are missing.

    Parameters
    ----------
    url : str
        `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///directory` (created if missing) or
        `memory:///`. Credentials, region and endpoint come from the usual environment variables, or from `options`.
        Cloudflare R2 is S3 with an endpoint.
    level : int or None
        The zstd level, 1 to 22; None does not compress.
    soft_timeout : float
        Seconds after which the caller continues with a miss, while the request goes on.
    hard_timeout : float
        Seconds after which a request is cancelled.
    max_value_bytes : int
        The size limit of a value. A larger one is neither stored nor read.
    options : mapping, optional
        Options of the store by their names in the crate, such as
        `{"endpoint": "https://…", "region": "auto"}`. Some mistakes, such as an endpoint that is
        not a URL, appear only in the first call: it is a miss, and `stats()["error"]` contains the
        message of the crate.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.
    MissingDependencyError
        `obstore` is not installed.

    Examples
    --------
    >>> from tiercel.cache import Object
    >>> with Object("memory:///") as tier:
    ...     tier["greeting"] = b"hello"
    ...     tier["greeting"], len(tier), tier.stats()["breaker"]
    (b'hello', 1, 'closed')
    """

    survives_fork: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        *,
        level: int | None = 3,
        soft_timeout: float = 0.5,
        hard_timeout: float = 10.0,
        max_value_bytes: int = MOST,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            level=level, soft_timeout=soft_timeout, hard_timeout=hard_timeout, max_value_bytes=max_value_bytes
        )
        self._obstore = needed("obstore", "tiercel[object]")
        self._url = unicode_text(url, "url")
        self._store = self._open(url, hard_timeout, _mapping({} if options is None else options, "options"))
        global _first_process  # noqa: PLW0603
        _first_process = _first_process or os.getpid()
        if _first_process != os.getpid():
            self._cut_off()

    def _open(self, url: str, hard_timeout: float, options: dict[str, Any]) -> Any:
        stores = needed("obstore.store", "tiercel[object]")
        if url.startswith("file:"):
            options = {"mkdir": True} | options
        elif not url.startswith("memory:"):
            # No retries: a late attempt could write an older value over a newer one.
            options["retry_config"] = {"max_retries": 0}
            limits = {"timeout": timedelta(seconds=hard_timeout), "connect_timeout": timedelta(seconds=hard_timeout)}
            plain = str(options.get("endpoint", os.environ.get("AWS_ENDPOINT_URL", ""))).startswith("http://")
            given = _mapping(options.get("client_options", {}), "options['client_options']")
            options["client_options"] = {**limits, "allow_http": plain, **given}
        try:
            store = stores.from_url(url, **options)
        except BaseException as error:
            # The crate panics at some options. A panic is no Exception, so it would end a server
            # that handles errors.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise InvalidInputError(
                f"url, options: expected a URL and options of an object store, got {url!r}: {_first_line(error)}"
            ) from error
        if isinstance(store, stores.HTTPStore):
            raise InvalidInputError(
                f"url: expected an object store, got {url!r}, which supports neither listing nor deletion"
            )
        return store

    @property
    def _place(self) -> str:
        return self._url

    def _read(self, names: list[str]) -> list[Any]:
        return [self._get(name) for name in names]

    def _get(self, name: str) -> Any:
        try:
            found = self._obstore.get(self._store, name)
            # No tier wrote a larger object, and it is not worth the memory. It counts as damaged.
            return found.bytes() if found.meta["size"] <= self._max_value_bytes + BESIDE else b""
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        # In one request: a failed multipart upload would leave parts behind, which cost money.
        self._obstore.put(self._store, name, content, use_multipart=False)

    def _remove(self, names: list[str]) -> None:
        if len(names) > 1:
            # Some stores stop at the first absent name.
            with contextlib.suppress(FileNotFoundError):
                self._obstore.delete(self._store, names)
                return
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._obstore.delete(self._store, name)

    def _start(self, name: str, length: int) -> bytes:
        return bytes(self._obstore.get_range(self._store, name, start=0, length=length))

    def _exists(self, name: str) -> bool:
        try:
            self._obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    def _pages(self, *, sized: bool) -> Iterator[Page]:  # noqa: ARG002 - a listing has the sizes anyway
        for page in self._obstore.list(self._store, chunk_size=PAGE):
            yield [(each["path"], each["size"]) for each in page]


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name}: expected a mapping, got {type(value).__name__}")
    return dict(cast("Mapping[str, Any]", value))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
