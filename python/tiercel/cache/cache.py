"""A cache over tiers."""

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, cast, final, get_args

from tiercel.async_methods import async_method
from tiercel.cache.arguments import checked_clock, checked_keys, checked_tiers, refuse_used_up
from tiercel.cache.entry_options import LONG, EntryOptions, checked_name, checked_seconds, checked_tags
from tiercel.cache.keys import key_of
from tiercel.cache.loading import MISSING, UNSET, Loading
from tiercel.cache.pool import in_thread
from tiercel.cache.queued_tier import CacheTierStats
from tiercel.cache.rebalance import Rebalanced, rebalance
from tiercel.cache.shared import Shared
from tiercel.cache.tier_stack import Write
from tiercel.cache.tiers import Key
from tiercel.cache.values import Codec, CodecName
from tiercel.cache.views import Items, Values
from tiercel.checks import number, whole
from tiercel.errors import InvalidInputError
from tiercel.handles import Handle

__all__ = ["Cache", "CacheStats"]


class CacheStats(TypedDict):
    """What happened in a cache, all of its namespaces together.

    Attributes
    ----------
    loads
        Values loaded.
    load_failures
        Loads that failed.
    waits
        Callers that waited for another one's load.
    deadlines
        Callers that waited too long.
    stale_served
        Values given past their time.
    unkept
        Values that were loaded, given and not kept: of a type that the codec does not keep, or refused by every tier.
    unread
        Values and records of namespaces that a tier gave and that could not be read: damaged, or of another codec.
    tiers
        Of each tier, first to last: the keys of `CacheTierStats`.
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
    """Values by key in tiers, the fastest first.

    A value that is put goes to the first tier, and in the background to the next one that is a `Store` or `Files`. What a tier drives out comes down
    to the next one, if it is worth its place (seconds to load x how often it was asked for / bytes). What is asked for a second time is copied up again. Keys are `str` or `bytes`.

    Parameters
    ----------
    tiers : sequence
        `Memory`, `Store`, `Files`, `Object`, `Redis`, or any object with `get`, `put` and `delete` of bytes by text, first to last. They belong to the cache: it
        closes them, and no two are the same.
    ttl : float, optional
        Seconds that a value is given; for as long as there is room by default.
    idle_ttl : float, optional
        Seconds that a value is given since it was last used, to an eighth.
    jitter : float
        The largest part of `ttl` that is taken off by chance, from 0 to 1, so that what was put together does not expire together.
    stale : float
        Seconds past its time in which `get_or_load` still gives a value at once and loads it anew in the background. If that fails, it is tried again
        after a second, and after twice as long with each failure in a row, at most a minute.
    fail_safe : float
        Seconds past its time in which `get_or_load` gives a value if loading it anew fails, or another caller loads it for more than `timeout`. The
        caller who loads it has no limit of time: a loader that may hang needs one of its own.
    timeout : float
        Seconds that `get_or_load` waits for another caller who loads the same key.
    codec : {"plain", "msgpack", "pickle (unsafe)"}
        How values are written: as JSON that tells types, as msgpack where that can hold them, or as pickles, at the risk that whoever can write to a
        tier runs code in this process. The first two keep None, bool, int, float, str, bytes, numpy arrays and numbers, dates and times, UUIDs,
        Decimals, and lists, tuples, sets, frozensets and dicts of these.
    types : sequence of type
        Dataclasses, enums and named tuples whose members are kept, too. A member is restored from its fields, without a call of its methods.
    write : {"through", "back"}, optional
        "through" gives what is put to the first lower tier that outlives the process, too, in the background and within a second. "back" gives it
        what the first tier drives out, and the rest when the cache is flushed or closed. By default "through" if that tier is a `Store` or `Files`,
        and "back" if it is outside of the process.
    queue_bytes : int
        The most that waits to come down to a tier. What has waited longest is dropped; a put that is written through to a `Store` or `Files`
        waits instead.
    seed : int
        Of the jitter.
    clock : callable
        Gives the time in nanoseconds, an int from 0.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be.

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
        if write not in {None, *get_args(Write)}:
            raise InvalidInputError(f"write: expected 'through', 'back' or None, got {write!r}")
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
        """The value of a key, or `default`."""
        shared = self._shared
        name = self._name(key)
        now = shared.clock()
        value = self._glance(name, now)
        if value is MISSING:
            entry, _ = shared.lookup.find(name, self._namespace, now)
            answer = None if entry is None else shared.open(entry)
            value = default if answer is None else answer.value
            self._record(key, hit=answer is not None)
        else:
            self._record(key, hit=True)
        return value

    def get_many(self, keys: Iterable[Key]) -> list[Any]:
        """The values of keys, in their order; None for each that is not there."""
        shared = self._shared
        wanted = checked_keys(keys)
        names = [self._name(key) for key in wanted]
        found = shared.lookup.find_many(names, self._namespace, shared.clock())
        answers = [None if entry is None else shared.open(entry) for entry, _ in found]
        for key, answer in zip(wanted, answers, strict=True):
            self._record(key, hit=answer is not None)
        return [None if answer is None else answer.value for answer in answers]

    def __setitem__(self, key: Key, value: Any) -> None:
        """`put`; raises `InvalidInputError` if the value is too large for every tier, and not if a tier fails."""
        if self.put(key, value):
            return
        # False alone does not tell: a tier that fails might have taken it. So once more, and look who refuses.
        before = self._refused()
        if not self.put(key, value) and all(now > then for now, then in zip(self._refused(), before, strict=True)):
            raise InvalidInputError("value: expected one that a tier can keep, got one that is too large for each")

    def _refused(self) -> list[int]:
        """Of each tier, how many values were too large for it."""
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
        """Keep a value; False if it is too large for every tier, or the only tier that would take it fails.

        A value that would not come back as it is raises `InvalidInputError`, and what was there before stays. So do iterators, generators, files and
        coroutines, whatever the codec: put a list of them, or what they return.

        `ttl` and `idle_ttl` are in seconds, and as the cache was made by default; `tags` are names by which values can be invalidated together; `cost` is
        how many seconds it took to make the value.
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
        """Forget a key in all tiers; tells whether it was there."""
        was_there = key in self
        self._shared.stack.delete(self._name(key))
        return was_there

    def pop(self, key: Key, default: Any = MISSING) -> Any:
        """Forget a key and give its value, or the default; of several who do so at once, more than one may get it."""
        value = self.get(key, MISSING)
        if value is not MISSING:
            self._shared.stack.delete(self._name(key))
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Key, Any]:
        """Forget some key and give it with its value."""
        for key, value in self.items():
            self._shared.stack.delete(self._name(key))
            return key, value
        raise KeyError("there is no key")

    def __contains__(self, key: object) -> bool:
        """Whether a value would be given. It is read from its tier as by `get`, and not counted as asked for."""
        if not isinstance(key, str | bytes):
            return False
        entry = self._shared.lookup.peek(self._name(key), self._namespace, self._shared.clock())
        return entry is not None and self._shared.open(entry) is not None

    def __iter__(self) -> Iterator[Key]:
        """The keys as of now, in no order; each is looked up, so this is slow where much lies in slow tiers."""
        self._check_open()
        for name in self._shared.stack.names():
            key = key_of(self._namespace.prefix, name)
            if key is not None and key in self:
                yield key

    def __len__(self) -> int:
        """Number of keys, found by going through them."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def items(self) -> Items[Any]:
        """Keys and values. Keys that leave while they are walked through are passed over."""
        return Items(self)

    def values(self) -> Values[Any]:
        """Values. Those that leave while they are walked through are passed over."""
        return Values(self)

    aget = async_method(get, in_thread)
    aget_many = async_method(get_many, in_thread)
    aput = async_method(put, in_thread)
    adelete = async_method(delete, in_thread)

    # Invalidation.

    def namespace(self, name: str) -> "Cache":
        """The same cache with keys of their own, which are invalidated together: one a tenant, say, or one a version of a model."""
        checked_name(name, "name")
        view = object.__new__(Cache)
        view._shared, view._options, view._timeout = self._shared, self._options, self._timeout
        view._namespace = self._shared.namespace(name)
        return view

    def invalidate(self) -> bool:
        """Make all values of the namespace invalid, however many there are.

        From now on none of them is given. Tells whether that holds after a crash, too: whether every tier that outlives the process has it on its disk.
        """
        self._check_open()
        return self._namespace.invalidate()

    def invalidate_tags(self, *tags: str) -> bool:
        """Make the values of the namespace invalid that have one of the tags; tells whether that holds after a crash, too."""
        self._check_open()
        return self._namespace.invalidate_tags(checked_tags(tags))

    def clear(self) -> None:
        """Forget all values of the namespace: `invalidate`."""
        self.invalidate()

    # The whole.

    def stats(self) -> CacheStats:
        """What happened so far, in all namespaces: `help(tiercel.cache.CacheStats)` and `CacheTierStats` tell what each key means."""
        self._check_open()
        return cast("CacheStats", {**self._shared.counters.counts(), "tiers": self._shared.stack.stats()})

    def optimize(self) -> Rebalanced:
        """Remove what is too old, and copy to the first tier what was used most lately; tells what was moved."""
        self._check_open()
        return rebalance(self._shared)

    def wait_idle(self) -> None:
        """Let everything come down that is written through or was driven out, and wait for it."""
        self._check_open()
        self._shared.stack.move()

    def flush(self) -> bool:
        """Give what the first tier has to the next one, too, and have everything on the tiers' disks; tells whether it is there."""
        self._check_open()
        return self._shared.flush()

    def close(self) -> None:
        """Flush, and close the tiers. Doing it again changes nothing. Without it, a process that ends flushes what caches it still holds."""
        if not self._shared.closed:
            self._shared.close_prefetchers()
            try:
                self.flush()
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
