"""Values that are loaded when they are asked for."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, TypeVar, cast, overload

from tiercel.cache.arguments import checked_keys, checked_loader
from tiercel.cache.associations import Prediction
from tiercel.cache.batches import Batch, BatchLoader
from tiercel.cache.entry_options import EntryOptions, checked_name, checked_seconds, checked_tags
from tiercel.cache.keys import key_name
from tiercel.cache.loads import Load, Loader
from tiercel.cache.memoize import memoized
from tiercel.cache.namespaces import Namespace
from tiercel.cache.prefetch import Prefetcher
from tiercel.cache.shared import Answer, Shared
from tiercel.cache.tiers import Key
from tiercel.cache.values import DamagedValueError
from tiercel.checks import MAX_LIMIT, number, whole
from tiercel.errors import ClosedError, InvalidInputError

__all__ = ["MISSING", "UNSET", "Loading"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
MISSING: Any = object()
# What a caller leaves out is as the cache was made.
UNSET: Any = object()


class Loading:
    """The methods of `Cache` that load."""

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
        """The value of a key; if no tier has it, what `loader(key)` returns, which is kept.

        Of all who ask for a key at once, one loads it. If that fails, one of the others tries again; if that fails, too, all of them get the error.
        A value that was loaded while its key was written, deleted or invalidated goes to those who asked before that, and is not kept. The same holds for a
        value of a type that the codec does not keep: all who wait get the same object, `stats()["unkept"]` counts it, and a `RuntimeWarning` names the type, once a namespace.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be, or the loader returned what can be read only once, such as a generator or a file: return a list of it.
        DeadlineExceededError
            Another caller was loading the key for `timeout` seconds.
        RecursiveLoadError
            The loader asks for the key that it is to load.
        """
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        value = self._glance(load.name, self._shared.clock())
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
        """As `get_or_load`, with where the value comes from, and whether it is past its time."""
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
        """The values of keys, in their order; `loader(missing)` is called once with the keys that nobody has or loads, each once, and returns a mapping
        from them or a list in their order.
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
        """`get_or_load` as a coroutine; the loader may be a coroutine function."""
        load, checked = self._load(key, self._entry_options(ttl, idle_ttl, tags), timeout), checked_loader(loader)
        value = self._glance(load.name, self._shared.clock())
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
        """`fetch` as a coroutine; the loader may be a coroutine function."""
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
        """`get_many_or_load` as a coroutine; the loader may be a coroutine function."""
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
        """A decorator, with or without brackets: what a function returns is kept under the function's name and its arguments.

        What it returns is always given, and kept if its type can be kept, as in `get_or_load`; what can be read only once is refused, as there.

        The function may be a coroutine function. Arguments may be None, bool, int, float, str, bytes, tuples, lists, dicts, sets, dataclasses, enums, dates and times,
        UUIDs, paths, numpy arrays and numbers. The same call has the same key in every process, however the arguments are passed. Neither the order of keyword
        arguments nor that of dicts and sets counts: where a function depends on it, pass a list of pairs, as `list(row.items())`.

        `function.cache_key(*args, **kwargs)` is the key: `cache.delete` of it forgets one call. `tags=["rates"]` and `cache.invalidate_tags("rates")` forget
        all calls of a function. `self` is an argument as well: of a method, the object must be one that may be an argument, such as a dataclass.

        A function is known by its module and qualified name, or by `name`, which one that captures variables, wraps another function or is a lambda must be
        given: say in it what tells the function from others that are made in the same place. Its code is no part of the key.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be, or the function is not made by def, is a generator, or needs a `name`. When it is called: an argument has a
            type that is not told above, or the function returns what can be read only once.

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
                f"function: expected a function, got {function!r}; pass everything else by name, as in ttl=60"
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
        """From now on, load what is likely to be asked for next in this namespace, while nobody asks for anything.

        The prefetcher learns which keys follow which, loads what has done so at least 80% of the time by the lower bound of a confidence interval, for at
        most so many loads and bytes a second, begins after `idle` seconds without a request, and switches itself off when more than half of 256
        prefetches were for nothing. Its `stats()` tell how good it is, its `close()` ends it.

        What it loads is kept on these options, not on those of the requests: give it the `ttl`, `idle_ttl` and `tags` that they have. `tags` may be a function
        of the key; if that fails, nothing is kept, and it counts as a failure.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be, or the namespace has a prefetcher.
        """
        checked = checked_loader(loader)
        tags_of = tags if callable(tags) else None
        options = self._entry_options(ttl, idle_ttl, () if callable(tags) else tags)
        before = self._namespace.prefetcher
        if before is not None and not before.stats()["off"]:
            raise InvalidInputError("loader: expected the only one, got another one in a namespace that prefetches")

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
        """What is likely to be asked for after a key, or now: at most `limit` keys, the likeliest first; nothing without `prefetch`."""
        self._check_open()
        if key is not None:
            self._name(key)
        most = whole(limit, "limit", 0, MAX_LIMIT)
        prefetcher = self._namespace.prefetcher
        return [] if prefetcher is None else prefetcher.predict(key, most)

    def _check_open(self) -> None:
        if self._shared.closed:
            raise ClosedError("the cache has been closed")

    def _name(self, key: Key) -> bytes:
        self._check_open()
        return key_name(self._namespace.prefix, key)

    def _record(self, key: Key, *, hit: bool) -> None:
        prefetcher = self._namespace.prefetcher
        if prefetcher is not None:
            # A key of a call holds its arguments, and what is learnt is kept.
            prefetcher.record(bytes(key) if isinstance(key, bytes) else key, hit)

    def _recorded(self, key: Key, answer: Answer) -> Answer:
        self._record(key, hit=answer.tier is not None)
        return answer

    def _glance(self, name: bytes, now: int) -> Any:
        """A value of the first tier, if that is quick to tell."""
        data = self._shared.stack.glance(name, self._namespace.epoch, now)
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
