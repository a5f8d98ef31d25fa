"""The methods of a cache that load missing values."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, TypeVar, cast, overload

from tiercel.cache.arguments import checked_keys, checked_loader
from tiercel.cache.associations import Prediction
from tiercel.cache.batches import Batch, BatchLoader
from tiercel.cache.entry_options import EntryOptions, checked_name, checked_seconds, checked_tags
from tiercel.cache.keys import Key, key_name
from tiercel.cache.loads import Load, Loader
from tiercel.cache.memoize import memoized
from tiercel.cache.namespaces import Namespace
from tiercel.cache.prefetch import Prefetcher
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.values import DamagedValueError
from tiercel.checks import MAX_LIMIT, number, shown, whole
from tiercel.errors import ClosedError, InvalidInputError

__all__ = ["MISSING", "UNSET", "Loading"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
MISSING: Any = object()
# The default of options that a call inherits from the cache.
UNSET: Any = object()


class Loading:
    """The methods of `Cache` that load values."""

    __slots__ = ()

    _shared: Shared
    _namespace: Namespace
    _options: EntryOptions
    _timeout: float

    def get_or_load(
        self,
        key: Key,
        loader: Loader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,
    ) -> Any:
        """Return the value of a key. If no tier has it, call `loader(key)` and cache the result.

        Concurrent callers of a key share one load (single flight), so an expiry causes no stampede. If it fails,
        one of the waiting callers tries again; if that fails too, all of them get the error.

        A value that was loaded while its key was written, deleted or invalidated is returned to the
        callers that asked before that change, and is not cached. A value of a type that the codec
        cannot encode is not cached either: all waiting callers get the same object,
        `stats()["unkept"]` counts it, and a `RuntimeWarning` names the type, once per namespace.

        Raises
        ------
        InvalidInputError
            An argument has the wrong type or is out of range, or the loader returned an object that
            can be read only once, such as a generator or a file: return a list of its items.
        DeadlineExceededError
            Another caller was still loading the key after `timeout` seconds.
        RecursiveLoadError
            The loader asks the cache for the key that it is loading.
        """
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        value = self._get_fast(load.name, self._shared.clock())
        if value is not MISSING:
            self._record(key, hit=True)
            return value
        return self._recorded(key, load.run(checked)).value

    def fetch(
        self,
        key: Key,
        loader: Loader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,
    ) -> Answer:
        """Like `get_or_load`, but also return the origin of the value and whether it has expired."""
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        self._shared.stack.sketch.add(load.name)
        return self._recorded(key, load.run(checked))

    def get_many_or_load(
        self,
        keys: Iterable[Key],
        loader: BatchLoader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,
    ) -> list[Any]:
        """Return the values of keys, in their order.

        Load the missing ones with one call of `loader(missing)`. `missing` lists the keys that no
        tier has and no other caller is loading, each once. The loader returns a mapping from these
        keys, or a list of values in their order.
        """
        wanted = checked_keys(keys)
        answers = self._batch(wanted, self._entry_options(ttl, idle_ttl, tags), timeout).run(checked_loader(loader))
        return [self._recorded(key, answers[key]).value for key in wanted]

    async def aget_or_load(
        self,
        key: Key,
        loader: Loader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,  # noqa: ASYNC109
    ) -> Any:
        """Like `get_or_load`, as a coroutine. The loader may be a coroutine function."""
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        value = self._get_fast(load.name, self._shared.clock())
        if value is not MISSING:
            self._record(key, hit=True)
            return value
        return self._recorded(key, await load.arun(checked)).value

    async def afetch(
        self,
        key: Key,
        loader: Loader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,  # noqa: ASYNC109
    ) -> Answer:
        """Like `fetch`, as a coroutine. The loader may be a coroutine function."""
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        self._shared.stack.sketch.add(load.name)
        return self._recorded(key, await load.arun(checked))

    async def aget_many_or_load(
        self,
        keys: Iterable[Key],
        loader: BatchLoader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        timeout: float = UNSET,  # noqa: ASYNC109
    ) -> list[Any]:
        """Like `get_many_or_load`, as a coroutine. The loader may be a coroutine function."""
        wanted = checked_keys(keys)
        answers = await self._batch(wanted, self._entry_options(ttl, idle_ttl, tags), timeout).arun(
            checked_loader(loader)
        )
        return [self._recorded(key, answers[key]).value for key in wanted]

    @overload
    def memoize(self, function: _Function, /) -> _Function: ...
    @overload
    def memoize(
        self,
        function: None = None,
        /,
        *,
        ttl: float | None = ...,
        idle_ttl: float | None = ...,
        tags: Iterable[str] = ...,
        name: str | None = ...,
    ) -> Callable[[_Function], _Function]: ...
    def memoize(
        self,
        function: Any = None,
        /,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        name: str | None = None,
    ) -> Any:
        """Cache the results of a function by its name and arguments.

        This is a decorator, with or without parentheses.

        The function may be a coroutine function. Its result is always returned, and is cached if
        the codec can encode it, as in `get_or_load`. A result that can be read only once is
        refused.

        Arguments may be None, bool, int, float, str, bytes, tuples, lists, dicts, sets, dataclasses, enums, dates
        and times, UUIDs, paths, numpy arrays and numbers. Equal calls have the same key in every process, however
        the arguments are passed. The order of keyword arguments, dicts and sets does not count: if
        the function depends on it, pass a list of pairs, such as `list(row.items())`.

        `function.cache_key(*args, **kwargs)` returns the key: pass it to `cache.delete` to forget
        one call. `tags=["rates"]` and `cache.invalidate_tags("rates")` forget all calls of a
        function. `self` is an argument, so the object of a method must have one of the types above,
        such as a dataclass. A refresh in the background passes copies of the arguments to the
        function; it is dropped if the caller has changed them after the call returned.

        A function is identified by its module and qualified name, or by `name`. A lambda, and a
        function that captures variables or wraps another function, needs a `name` that
        distinguishes it from others made in the same place. The code of the function is not part
        of the key.

        Raises
        ------
        InvalidInputError
            An argument has the wrong type or is out of range, or the function is not made by def, is a generator,
            or needs a `name`. When the function is called: an argument has a type that is not listed above, or the
            result can be read only once.

        Examples
        --------
        >>> from tiercel.cache import Cache, Memory
        >>> cache = Cache([Memory(1 << 20)])
        >>> @cache.memoize(ttl=60)
        ... def square(x):
        ...     print("computed")
        ...     return x * x
        >>> square(4), square(x=4)
        computed
        (16, 16)
        >>> cache.delete(square.cache_key(4))
        True
        >>> square(4)
        computed
        16
        """
        if function is not None and not callable(function):
            raise InvalidInputError(
                f"function: expected a function, got {shown(function)}; pass everything else by name, as in ttl=60"
            )
        options = {"ttl": ttl, "idle_ttl": idle_ttl, "tags": checked_tags(tags)}
        self._entry_options(ttl, idle_ttl, ())
        known_as = None if name is None else checked_name(name, "name")
        decorate = memoized(self.get_or_load, self.aget_or_load, known_as, **options)
        return decorate if function is None else decorate(function)

    def prefetch(
        self,
        loader: Loader,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = (),
        idle: float = 0.02,
        loads_per_second: float = 100,
        bytes_per_second: float = 16 << 20,
    ) -> Prefetcher:
        """Load keys that are likely to be requested next, while the namespace is idle.

        The prefetcher learns which keys follow which. It loads a key only if it has followed at least 80% of the
        time, by the lower bound of a confidence interval, after `idle` seconds without a request and within the
        limits of loads and bytes per second. It switches itself off when more than half of its last 256 prefetches
        were wasted. Its `stats()` return how useful it was, and `close()` stops it.

        Prefetched values get the options passed here, not those of later requests: pass the same
        `ttl`, `idle_ttl` and `tags`. `tags` may be a function of the key. If it raises, the value
        is not cached, and the failure is counted.

        Raises
        ------
        InvalidInputError
            An argument has the wrong type or is out of range, or the namespace already has a prefetcher.
        """
        checked = checked_loader(loader)
        tags_of = tags if callable(tags) else None
        options = self._entry_options(ttl, idle_ttl, () if callable(tags) else tags)
        before = self._namespace.prefetcher
        if before is not None and not before.stats()["off"]:
            raise InvalidInputError(
                "prefetch: expected a namespace without a prefetcher, got one that has one; close it first"
            )

        def load(key: Key) -> int:
            own = options if tags_of is None else options._replace(tags=checked_tags(tags_of(key)))
            wanted = self._load(key, own, self._timeout)
            wanted.run(checked)
            entry = self._shared.lookup.peek_local(wanted.name, self._namespace, self._shared.clock())
            return 0 if entry is None else len(entry.data)

        made = Prefetcher(
            cast("Container[Key]", self),
            load,
            idle=idle,
            loads_per_second=loads_per_second,
            bytes_per_second=bytes_per_second,
        )
        self._namespace.prefetcher = made
        return made

    def predict(self, key: Key | None = None, limit: int = 8) -> list[Prediction]:
        """Predict at most `limit` keys that follow a key, or the last request, likeliest first.

        The list is empty without `prefetch`.
        """
        self._check_open()
        if key is not None:
            self._name(key)
        most = whole(limit, "limit", 0, MAX_LIMIT)
        prefetcher = self._namespace.prefetcher
        return [] if prefetcher is None else prefetcher.predict(key, most)

    def _check_open(self) -> None:
        if self._shared.closed:
            raise ClosedError("the cache is closed")

    def _name(self, key: Key) -> bytes:
        self._check_open()
        return key_name(self._namespace.prefix, key)

    def _record(self, key: Key, *, hit: bool) -> None:
        prefetcher = self._namespace.prefetcher
        if prefetcher is not None:
            # A call's key references its arguments, which the prefetcher must not keep alive.
            prefetcher.record(bytes(key) if isinstance(key, bytes) else key, hit)

    def _recorded(self, key: Key, answer: Answer) -> Answer:
        self._record(key, hit=answer.tier is not None)
        return answer

    def _get_fast(self, name: bytes, now: int) -> Any:
        """Return a value of the first tier if the fast path applies, otherwise `MISSING`."""
        data = self._shared.stack.get_fast(name, self._namespace.epoch, now)
        try:
            return MISSING if data is None else self._shared.codec.decode(data)
        except DamagedValueError:
            return MISSING

    def _entry_options(self, ttl: float | None, idle_ttl: float | None, tags: Iterable[str]) -> EntryOptions:
        options = self._options
        if ttl is UNSET and idle_ttl is UNSET and isinstance(tags, tuple) and not tags:
            return options
        return options._replace(
            ttl=options.ttl if ttl is UNSET else checked_seconds(ttl, "ttl"),
            idle_ttl=options.idle_ttl if idle_ttl is UNSET else checked_seconds(idle_ttl, "idle_ttl"),
            tags=checked_tags(tags),
        )

    def _load(self, key: Key, options: EntryOptions, timeout: float) -> Load:
        wait = self._timeout if timeout is UNSET else number(timeout, "timeout", 0, 1e9)
        return Load(self._shared, self._namespace, key, self._name(key), options, wait)

    def _batch(self, keys: Sequence[Key], options: EntryOptions, timeout: float) -> Batch:
        return Batch([self._load(key, options, timeout) for key in dict.fromkeys(keys)])
