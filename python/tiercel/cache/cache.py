"""A cache of Python values over a stack of tiers."""

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, cast, final, get_args

from tiercel.async_methods import async_method
from tiercel.cache.arguments import checked_clock, checked_keys, checked_tiers, refuse_used_up
from tiercel.cache.entry_options import LONG, EntryOptions, checked_name, checked_seconds, checked_tags
from tiercel.cache.keys import Key, key_of
from tiercel.cache.loading import MISSING, UNSET, Loading
from tiercel.cache.pool import in_thread
from tiercel.cache.queued_tier import CacheTierStats
from tiercel.cache.rebalance import Rebalanced, rebalance
from tiercel.cache.shared import Shared
from tiercel.cache.tier_stack import Write
from tiercel.cache.values import Codec, CodecName
from tiercel.cache.views import Items, Values
from tiercel.checks import choice, number, whole
from tiercel.errors import ClosedError, InvalidInputError
from tiercel.handles import Handle

__all__ = ["Cache", "CacheStats"]


class CacheStats(TypedDict):
    """Counters of a cache, over all of its namespaces.

    Attributes
    ----------
    loads
        Values loaded.
    load_failures
        Loads that failed.
    waits
        Callers that waited for a load by another caller.
    deadlines
        Callers whose `timeout` ran out while they waited.
    stale_served
        Expired values that were returned.
    unkept
        Values that were loaded and returned but not cached: the codec cannot encode their type,
        or every tier refused them.
    unread
        Values, and records of namespaces, that a tier returned and that could not be decoded:
        they were damaged, or written by another codec.
    tiers
        One entry per tier, first to last, with the keys of `CacheTierStats`.
    """

    loads: int
    load_failures: int
    waits: int
    deadlines: int
    stale_served: int
    unkept: int
    unread: int
    tiers: list[CacheTierStats]


@final
class Cache(Handle, Loading, MutableMapping[Key, Any]):
    """A thread-safe cache over one or more tiers, the fastest first.

    `put` writes to the first tier, and in the background to the next `Store` or `Files`
    (write-through). A value that the first tier evicts moves down to the next tier if it is worth
    the space: load time x request frequency / bytes. A value that is requested a second time is
    promoted to the first tier again. Keys are `str` or `bytes`.

    Parameters
    ----------
    tiers : sequence
        The tiers, first to last: `Memory`, `Store`, `Files`, `Object`, `Redis`, or any object that
        keeps bytes under `str` names with `get`, `put` and `delete`. The cache owns them and closes
        them. Each may occur only once.
    ttl : float, optional
        Seconds after which a value expires. By default values do not expire.
    idle_ttl : float, optional
        Seconds without a read after which a value expires. Reads are recorded in steps of an eighth
        of this time, so a value may expire early by up to that much.
    jitter : float
        Shorten each `ttl` by a random part of up to this share, from 0 to 1, so that values written
        together do not all expire at once.
    stale : float
        Stale-while-revalidate: for this many seconds after a value expires, `get_or_load` returns
        it at once and reloads it in the background. A failed reload is retried after a second,
        then after twice as long each time, up to a minute.
    fail_safe : float
        For this many seconds after a value expires, `get_or_load` returns it if the reload fails,
        or if another caller has been loading it for more than `timeout`. The caller that runs the
        loader has no time limit: a loader that may hang needs its own.
    timeout : float
        Seconds that `get_or_load` waits for another caller that is loading the same key.
    codec : {"plain", "msgpack", "pickle (unsafe)"}
        How values are encoded: as JSON with type tags, as msgpack where it can hold the value, or
        as pickles, which let anyone who can write to a tier run code in this process. The first two
        accept None, bool, int, float, str, bytes, numpy arrays and numbers, dates and times, UUIDs,
        Decimals, and lists, tuples, sets, frozensets and dicts of these.
    types : sequence of type
        Dataclasses, enums and named tuples to accept as well. Their instances are restored from
        their fields, without calling their methods.
    write : {"through", "back"}, optional
        "through" writes each value to the first lower tier that persists, in the background and
        within a second. "back" writes to it what the first tier evicts, and the rest when the cache
        is flushed or closed. The default is "through" if that tier is a `Store` or `Files`, and
        "back" if it is remote.
    queue_bytes : int
        The size limit of the write queue of each tier. A full queue drops the oldest value, but a
        put that writes through to a `Store` or `Files` waits instead.
    seed : int
        The seed of the jitter.
    clock : callable
        Returns the time in nanoseconds, a non-negative int.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.

    Examples
    --------
    >>> from tiercel.cache import Cache, Memory
    >>> with Cache([Memory(64 << 20)], ttl=60) as cache:
    ...     cache["greeting"] = {"text": "hello"}
    ...     cache.get_or_load("greeting", lambda key: {"text": "loaded"})
    {'text': 'hello'}
    """

    __slots__ = ("__weakref__", "_namespace", "_options", "_shared", "_timeout")

    def __init__(
        self,
        tiers: Sequence[Any],
        *,
        ttl: float | None = None,
        idle_ttl: float | None = None,
        jitter: float = 0.0,
        stale: float = 0.0,
        fail_safe: float = 0.0,
        timeout: float = 30.0,
        codec: CodecName = "plain",
        types: Sequence[type] = (),
        write: Write | None = None,
        queue_bytes: int = 64 << 20,
        seed: int = 0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._options = EntryOptions(
            checked_seconds(ttl, "ttl"),
            checked_seconds(idle_ttl, "idle_ttl"),
            number(jitter, "jitter", 0, 1),
            number(stale, "stale", 0, LONG),
            number(fail_safe, "fail_safe", 0, LONG),
        )
        self._timeout = number(timeout, "timeout", 0, 1e9)
        room = whole(queue_bytes, "queue_bytes", 1, 2**63 - 1)
        chosen = Codec(codec, types)
        chance = whole(seed, "seed", 0, 2**64 - 1)
        if write is not None:
            choice(write, "write", get_args(Write))
        # A cache has the methods of a tier, but its values are not bytes.
        tiers = checked_tiers(tiers, refused=Cache)
        self._shared = Shared(tiers, room, chosen, chance, checked_clock(clock), write=write)
        self._namespace = self._shared.namespace("")

    # Values.

    def __getitem__(self, key: Key) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or `default`."""
        shared = self._shared
        name = self._name(key)
        now = shared.clock()
        value = self._get_fast(name, now)
        if value is MISSING:
            entry, _ = shared.lookup.find(name, self._namespace, now)
            answer = None if entry is None else shared.open(entry)
            value = default if answer is None else answer.value
            self._record(key, hit=answer is not None)
        else:
            self._record(key, hit=True)
        return value

    def get_many(self, keys: Iterable[Key]) -> list[Any]:
        """Return the values of keys, in their order, with None for each absent key."""
        shared = self._shared
        wanted = checked_keys(keys)
        names = [self._name(key) for key in wanted]
        found = shared.lookup.find_many(names, self._namespace, shared.clock())
        answers = [None if entry is None else shared.open(entry) for entry, _ in found]
        for key, answer in zip(wanted, answers, strict=True):
            self._record(key, hit=answer is not None)
        return [None if answer is None else answer.value for answer in answers]

    def __setitem__(self, key: Key, value: Any) -> None:
        """Like `put`, but raise `InvalidInputError` if the value is too large for every tier.

        Nothing is raised when a tier fails.
        """
        if self.put(key, value):
            return
        # False may also mean that a tier failed: try again, and see which tiers refuse the value.
        before = self._refused()
        if not self.put(key, value) and all(now > then for now, then in zip(self._refused(), before, strict=True)):
            raise InvalidInputError("value: expected one that fits in a tier, got one that is too large for every tier")

    def _refused(self) -> list[int]:
        """Count the values that were too large, for each tier."""
        return [tier.backend.stats().get("refused", 0) for tier in self._shared.stack.tiers]

    def put(
        self,
        key: Key,
        value: Any,
        *,
        ttl: float | None = UNSET,
        idle_ttl: float | None = UNSET,
        tags: Iterable[str] = (),
        cost: float = 0.0,
    ) -> bool:
        """Cache a value.

        Return False if the value is too large for every tier, or if the only tier that could hold
        it fails.

        Raise `InvalidInputError` for a value that would not decode to an equal value. Also raise it
        for iterators, generators, files and coroutines, whatever the codec: put a list of their
        items, or their result. The previous value then stays.

        `ttl` and `idle_ttl` are in seconds and default to those of the cache. `tags` are names for
        `invalidate_tags`. `cost` is the number of seconds that it took to make the value.
        """
        name, options = self._name(key), self._entry_options(ttl, idle_ttl, tags)
        refuse_used_up(value, "value", "put")
        cost, content = number(cost, "cost", 0, 3e38), self._shared.codec.encode(value)
        self._namespace.ensure_record()
        data = self._shared.seal(content, options, self._namespace.version, self._shared.clock(), cost)
        self._shared.backoff.succeeded(name)
        return self._shared.stack.write(name, data)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: Key) -> bool:
        """Delete a key from all tiers. Return whether it was present."""
        was_there = key in self
        self._shared.stack.delete(self._name(key))
        return was_there

    def pop(self, key: Key, default: Any = MISSING) -> Any:
        """Delete a key and return its value, or the default.

        Concurrent calls may return one value twice.
        """
        value = self.get(key, MISSING)
        # Also what `get` does not return: a stale value, or one that is being loaded or cannot be
        # read right now.
        self._shared.stack.delete(self._name(key))
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or put the default and return it.

        Like `get_or_load` with a loader that returns the default: of concurrent callers one puts
        its default, and all get that value.
        """
        return self.get_or_load(key, lambda _: default)

    def popitem(self) -> tuple[Key, Any]:
        """Delete an arbitrary key and return it with its value."""
        for key, value in self.items():
            self._shared.stack.delete(self._name(key))
            return key, value
        raise KeyError("the cache has no keys")

    def __contains__(self, key: object) -> bool:
        """Return whether `get` would return a value. Read the value, but count no request."""
        if not isinstance(key, str | bytes):
            return False
        entry = self._shared.lookup.peek(self._name(key), self._namespace, self._shared.clock())
        return entry is not None and self._shared.open(entry) is not None

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the present keys, in no particular order.

        Look up each key, slowly in slow tiers.
        """
        self._check_open()
        for name in self._shared.stack.names():
            key = key_of(self._namespace.prefix, name)
            if key is not None and key in self:
                yield key

    def __len__(self) -> int:
        """Count the keys by iterating over them."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def items(self) -> Items[Any]:
        """Return a view of keys and values. It skips keys that disappear during an iteration."""
        return Items(self)

    def values(self) -> Values[Any]:
        """Return a view of the values. It skips those that disappear during an iteration."""
        return Values(self)

    aget = async_method(get, in_thread)
    aget_many = async_method(get_many, in_thread)
    aput = async_method(put, in_thread)
    adelete = async_method(delete, in_thread)

    # Invalidation.

    def namespace(self, name: str) -> "Cache":
        """Return a view of the cache with its own keys, which are invalidated together.

        Use one per tenant or model version, for example. Closing a view closes the cache.

        Raises
        ------
        InvalidInputError
            The cache is such a view itself: names are flat, so use one like `"tenant/prices"`.
        """
        checked_name(name, "name")
        if self._namespace.name:
            raise InvalidInputError(
                f"name: expected a namespace of the cache itself, got {name!r} within {self._namespace.name!r};"
                f" names are flat, so use cache.namespace({f'{self._namespace.name}/{name}'!r})"
            )
        view = object.__new__(Cache)
        view._shared, view._options, view._timeout = self._shared, self._options, self._timeout
        view._namespace = self._shared.namespace(name)
        return view

    def invalidate(self) -> bool:
        """Invalidate all values of the namespace, in constant time.

        From now on no read returns one of them. Return whether the invalidation survives a crash,
        that is, whether every persistent tier has it on disk.
        """
        self._check_open()
        return self._namespace.invalidate()

    def invalidate_tags(self, *tags: str) -> bool:
        """Invalidate the values of the namespace with any of the tags.

        Return whether it survives a crash.
        """
        self._check_open()
        return self._namespace.invalidate_tags(checked_tags(tags))

    def clear(self) -> None:
        """Remove all values of the namespace, like `invalidate`."""
        self.invalidate()

    # The whole cache.

    def stats(self) -> CacheStats:
        """Return the counters of all namespaces. See `help(tiercel.cache.CacheStats)` and `CacheTierStats`."""
        self._check_open()
        return cast("CacheStats", {**self._shared.counters.counts(), "tiers": self._shared.stack.stats()})

    def optimize(self) -> Rebalanced:
        """Remove expired values and promote the most used ones to the first tier.

        Return both counts.
        """
        self._check_open()
        return rebalance(self._shared)

    def wait_idle(self) -> None:
        """Wait until the background has moved down all written and evicted values."""
        self._check_open()
        self._shared.stack.move()

    def flush(self) -> bool:
        """Write the values of the first tier to the next persistent tier, and sync all tiers.

        Return whether all of that succeeded.
        """
        self._check_open()
        return self._shared.flush()

    def close(self) -> None:
        """Flush the cache and close its tiers. Closing twice is harmless, also from several threads.

        It returns once the tiers are closed, also if another thread closes them. A process that
        exits flushes open caches.
        """
        with self._shared.closing:
            if self._shared.closed:
                return
            self._shared.close_prefetchers()
            try:
                self.flush()
            except ClosedError:
                # Raised if a signal handler closed the cache meanwhile, on this thread.
                if not self._shared.closed:
                    raise
            finally:
                self._shared.closed = True
                for tier in self._shared.stack.tiers:
                    tier.backend.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        tiers = " > ".join(type(tier.backend).__name__ for tier in self._shared.stack.tiers)
        return f"<Cache: {'closed' if self._shared.closed else tiers}>"
