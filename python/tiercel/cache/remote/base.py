"""The base class of remote tiers."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, ItemsView, Iterable, Iterator, MutableMapping
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, overload

from tiercel import checks
from tiercel._core import seal
from tiercel.cache.keys import Key
from tiercel.cache.remote.guard import BreakerState, Call, Guard, UnansweredError
from tiercel.cache.remote.names import (
    START,
    checked_value,
    is_digest,
    is_name,
    key_at,
    key_ends,
    key_of,
    name_of,
    pack,
    unpack,
)
from tiercel.cache.remote.repair import Repair
from tiercel.cache.remote.validation import WriteValidator
from tiercel.cache.tiers import TierStats
from tiercel.cache.views import Values
from tiercel.errors import ClosedError, InvalidInputError
from tiercel.forks import call_after_fork, fork_lock
from tiercel.handles import Handle

__all__ = ["Page", "RemoteTier", "RemoteTierStats"]

T = TypeVar("T")
_NOTHING: Any = object()
# Names with the sizes of their contents.
Page: TypeAlias = list[tuple[str, int]]

# The range of both timeouts.
SECONDS = (0.001, 86_400.0)
# The default size limit of a value.
MOST = 256 << 20
# An upper bound on the bytes of a content besides value and key.
BESIDE = 1 << 20
# Values that `items` and `values` read with one call.
TOGETHER = 64


class RemoteTierStats(TierStats):
    """Contents and counters of a remote tier since it was created.

    `entries` and `bytes` are from the last listing by `len(tier)` and `tier.bytes`, because listing is expensive.
    """

    timeouts: int
    """Calls that ran into a timeout. They also count as failures."""
    breaker: BreakerState
    """The state of the circuit breaker: `closed` allows all calls, `open` none, `trial` one."""
    error: str | None
    """The error of the last call that failed."""


class _Items(ItemsView[Key, bytes]):
    def __init__(self, tier: "RemoteTier") -> None:
        super().__init__(tier)
        self._tier = tier

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        keys = iter(self._mapping)
        while group := list(islice(keys, TOGETHER)):
            for key, value in zip(group, self._tier.get_many(group), strict=True):
                if value is not None:
                    yield key, value


class RemoteTier(Handle, MutableMapping[Key, bytes], ABC):
    """A remote tier: an unbounded `MutableMapping` from `str` or `bytes` keys to bytes.

    It never delays a caller beyond its timeouts, and never fails one. The remote side may fail,
    hang, be slow or disappear, or return wrong bytes. Then a read is a miss, a write is not stored,
    `stats()` counts it, and no error is raised.

    A value that was replaced or deleted through this object is never returned, even if the write
    failed. The key is then in doubt: it is a miss until a later write or deletion of it succeeds,
    and it is deleted as soon as the tier answers again. Only this object remembers which keys are
    in doubt: after a failed write and a restart, the older value may be back.

    `in`, `len`, `bytes` and iteration list the remote contents without reading them, so a listed
    key may still be a miss.
    """

    # The most names that one read can request.
    batch: ClassVar[int] = 1
    # Whether the client works in a forked process.
    survives_fork: ClassVar[bool] = True

    def __init__(self, *, level: int | None, soft_timeout: float, hard_timeout: float, max_value_bytes: int) -> None:
        self._max_value_bytes = checks.whole(max_value_bytes, "max_value_bytes", 1, 2**62)
        hard = checks.number(hard_timeout, "hard_timeout", *SECONDS)
        soft = checks.number(soft_timeout, "soft_timeout", SECONDS[0], hard)
        seal("", b"", level)  # Checks the level.
        self._level = level
        self._limits = soft, hard
        self._closed = False
        self._counts = Counter[str]()
        self._lock = fork_lock()
        self._validator = WriteValidator()
        self._guard = Guard(soft, hard, self._clock)
        self._repair = Repair(self._validator, self._guard)
        call_after_fork(self)

    @staticmethod
    def _clock() -> float:
        """Return the time in seconds, for the breaker and the hard timeout."""
        return time.monotonic()

    @abstractmethod
    def _read(self, names: list[str]) -> list[Any]:
        """Read the contents under names, with None for absent ones.

        This method and the following ones may raise anything.
        """

    @abstractmethod
    def _write(self, name: str, content: bytes) -> None: ...

    @abstractmethod
    def _remove(self, names: list[str]) -> None:
        """Delete the contents under names, if there are any."""

    @abstractmethod
    def _start(self, name: str, length: int) -> bytes:
        """Read the first `length` bytes of the content under a name, or all if there are fewer."""

    @abstractmethod
    def _exists(self, name: str) -> bool: ...

    @abstractmethod
    def _pages(self, *, sized: bool) -> Iterator[Page]:
        """List everything, one call per page. Sizes may be 0 unless `sized`."""

    @property
    @abstractmethod
    def _place(self) -> str:
        """The address, without a password."""

    def __getitem__(self, key: Key) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    @overload
    def get(self, key: Key, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: Key, default: bytes) -> bytes: ...
    @overload
    def get(self, key: Key, default: T) -> bytes | T: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        value = self._fetch([key])[0]
        return default if value is None else value

    def get_many(self, keys: Iterable[Key]) -> list[bytes | None]:
        """Return the values of keys, in their order.

        None stands for absent ones, and for those that exceed the common soft timeout.
        """
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"keys: expected an iterable of str or bytes, got {keys!r:.100}")
        checks.refuse_unordered(keys, "keys")
        return self._fetch(list(keys))

    def get_patiently(self, key: Key) -> tuple[bool, bytes | None]:
        """Return whether the tier answers within the hard timeout, and the stored value.

        It may return a value in doubt. This is for values that are merged.
        """
        self._check_open()
        call = self._ask(partial(self._read, [name_of(key)]), patient=True)[0]
        if call.state != "answered" or not call.answer:
            return False, None
        whole = None if call.answer[0] is None else unpack(key, call.answer[0], self._max_value_bytes)
        return True, None if whole is None else whole.value

    def __setitem__(self, key: Key, value: bytes) -> None:
        self.put(key, value)

    def put(self, key: Key, value: bytes) -> bool:
        """Store a value. Return False if it is too large, or if it may not have been stored.

        The previous value is never returned again.
        """
        self._check_open()
        name, value = name_of(key), checked_value(value)
        if len(value) > self._max_value_bytes:
            self._count(refused=1)
            self._delete(key)
            return False
        number = self._validator.begin(name)

        def write() -> bool:
            self._write(name, pack(key, self._validator.version(number), value, self._level))
            return True

        kept = self._change(name, number, write) is True
        self._count(puts=int(kept))
        return kept

    def put_evicting(self, key: Key, value: bytes) -> tuple[bool, list[tuple[Key, bytes]]]:
        """Store a value. Return whether it was kept, and what it evicted, which is nothing."""
        return self.put(key, value), []

    def __delitem__(self, key: Key) -> None:
        if self._delete(key) is False:
            raise KeyError(key)

    def delete(self, key: Key) -> bool:
        """Delete a key. Return whether it is known to have been present."""
        return self._delete(key) is True

    @overload
    def pop(self, key: Key) -> bytes: ...
    @overload
    def pop(self, key: Key, default: bytes) -> bytes: ...
    @overload
    def pop(self, key: Key, default: T) -> bytes | T: ...
    def pop(self, key: Key, default: Any = _NOTHING) -> Any:
        """Delete a key and return its value, or the default."""
        if (value := self.get(key)) is not None:
            self.delete(key)
            return value
        if default is _NOTHING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Key, bytes]:
        """Delete an arbitrary key and return it with its value."""
        for key, value in self.items():
            self.delete(key)
            return key, value
        raise KeyError("the tier has no keys")

    def clear(self) -> None:
        """Delete everything that was put under any key, and leave other contents alone.

        This may take a long time. If it fails, only values that this object puts afterwards are
        returned, until a `clear` succeeds.
        """
        self._check_open()
        number = self._validator.begin_clear()
        with contextlib.suppress(UnansweredError):
            for page in self._listed():
                if page:
                    self._patiently(partial(self._remove, [name for name, _ in page]))
            self._validator.confirm_clear(number)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str | bytes):
            return False
        self._check_open()
        name = name_of(key)
        return not self._validator.is_uncertain(name) and self._ask(partial(self._exists, name))[0].answer is True

    def __len__(self) -> int:
        return self._survey(sized=False)[0]

    def __iter__(self) -> Iterator[Key]:
        self._check_open()
        return self._keys()

    def items(self) -> ItemsView[Key, bytes]:
        """Return a view of keys and values. It reads in batches and skips keys without a value."""
        return _Items(self)

    def values(self) -> Values[bytes]:
        """Return a view of the values. It skips missing ones."""
        return Values(self)

    def stats(self) -> RemoteTierStats:
        """Return contents and counters, without calling the remote side."""
        self._check_open()
        with self._lock:
            count = self._counts.copy()
        return {
            "entries": count["entries"],
            "bytes": count["bytes"],
            "hits": count["hits"],
            "misses": count["misses"],
            "puts": count["puts"],
            "evictions": 0,
            "refused": count["refused"],
            "damaged": count["damaged"],
            "failures": self._guard.failures,
            "timeouts": self._guard.timeouts,
            "breaker": self._guard.breaker,
            "error": self._guard.error,
        }

    def flush(self) -> bool:
        """Delete the keys in doubt as far as possible. Return whether none is left."""
        self._check_open()
        return self._repair.finish(self._remove, self._limits[1])

    def close(self) -> None:
        """Close the client; the remote contents stay. Closing twice is harmless."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether the tier was closed."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._place}, breaker {self._guard.breaker}"
        return f"<{type(self).__name__}: {state}>"

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the tier is closed")

    def _count(self, **more: int) -> None:
        with self._lock:
            self._counts.update(more)

    def _ask(self, *works: Callable[[], T], patient: bool = False) -> list[Call[T]]:
        calls = self._guard.ask(*works, patient=patient)
        # The remote side answers, so keys in doubt can be deleted.
        if self._validator.any_failed and any(call.state == "answered" for call in calls):
            self._repair.start(self._remove)
        return calls

    def _patiently(self, work: Callable[[], T]) -> T:
        return self._ask(work, patient=True)[0].answered()

    def _fetch(self, keys: list[Key]) -> list[bytes | None]:
        self._check_open()
        named = {name_of(key): key for key in keys}
        asked = [name for name in named if not self._validator.is_uncertain(name)]
        groups = [asked[start : start + self.batch] for start in range(0, len(asked), self.batch)]
        calls = self._ask(*[partial(self._read, group) for group in groups])
        answers = [(group, call.answer) for group, call in zip(groups, calls, strict=True) if call.state == "answered"]
        found = [pair for group, answer in answers for pair in zip(group, answer or (), strict=False)]
        values = self._unpacked(named, {name: content for name, content in found if content is not None})
        given = [values.get(name_of(key)) for key in keys]
        hits = sum(value is not None for value in given)
        self._count(hits=hits, misses=len(given) - hits)
        return given

    def _unpacked(self, named: dict[str, Key], contents: dict[str, Any]) -> dict[str, bytes]:
        """Decode the valid values. Delete those that are damaged or stale."""
        values = dict[str, bytes]()
        damaged = 0
        for name, content in contents.items():
            whole = unpack(named[name], content, self._max_value_bytes)
            damaged += whole is None
            if whole and self._validator.is_valid(name, whole.version):
                values[name] = whole.value
        self._count(damaged=damaged)
        if unwanted := [name for name in contents if name not in values]:
            self._ask(partial(self._remove, unwanted))
        return values

    def _delete(self, key: Key) -> bool | None:
        """Delete a key. Return whether it was present, or None if that is unknown."""
        self._check_open()
        name = name_of(key)
        is_uncertain = self._validator.is_uncertain(name)

        def remove() -> bool:
            there = self._exists(name)
            self._remove([name])
            return there and not is_uncertain

        return self._change(name, self._validator.begin(name), remove)

    def _change(self, name: str, number: int, work: Callable[[], bool]) -> bool | None:
        """Write or delete, and put the key in doubt if the outcome is unknown."""

        def change() -> bool:
            try:
                answer = work()
            except BaseException:
                self._validator.fail(name, number)
                raise
            self._validator.confirm(name, number)
            return answer

        try:
            call = self._ask(change)[0]
        finally:
            # The call may still run after an interruption. Below, it has either ended or never
            # begun.
            self._validator.abandon(name, number)
        if call.state == "answered":
            return call.answer
        if not call.underway:
            self._validator.fail(name, number)
        return None

    def _listed(self, *, sized: bool = False) -> Iterator[Page]:
        """List the names that tiers write, one page at a time."""
        pages = self._pages(sized=sized)
        while (page := self._patiently(partial(next, pages, None))) is not None:
            yield [(name, size) for name, size in page if is_name(name)]

    def _survey(self, *, sized: bool) -> tuple[int, int]:
        """Count the keys and their bytes. If the listing fails, count only what came before."""
        self._check_open()
        entries = size = 0
        with contextlib.suppress(UnansweredError):
            for page in self._listed(sized=sized):
                known = [each for name, each in page if not self._validator.is_uncertain(name)]
                entries += len(known)
                size += sum(known)
            with self._lock:
                self._counts["entries"] = entries
                self._counts["bytes"] = size if sized else self._counts["bytes"]
        return entries, size

    def _keys(self) -> Iterator[Key]:
        with contextlib.suppress(UnansweredError):
            for page in self._listed():
                names = [name for name, _ in page if not self._validator.is_uncertain(name)]
                long = [name for name in names if is_digest(name)]
                starts = self._ask(*[partial(self._start_of, name) for name in long], patient=True)
                told = {name: key_at(name, call.answer or b"") for name, call in zip(long, starts, strict=True)}
                for name in names:
                    key = told[name] if name in told else key_of(name)
                    if key is not None:
                        yield key

    def _start_of(self, name: str) -> bytes:
        """Read the beginning of a content, at least to the end of its key."""
        start = self._start(name, START)
        length = key_ends(start)
        return start if length <= START else self._start(name, length)

    def _cut_off(self) -> None:
        """Fail all calls from now on."""
        self._guard.refuses = True

    def after_fork(self) -> None:
        """Continue in a forked process, without the threads that may hold locks."""
        self._validator = self._validator.forked()
        self._guard = Guard(*self._limits, self._clock)
        self._repair = Repair(self._validator, self._guard)
        if not self.survives_fork:
            self._cut_off()

    # Last, because it hides the type `bytes` from the annotations below it.
    @property
    def bytes(self) -> int:
        """The bytes that are stored under names of tiers.

        This lists the remote contents, at some cost.
        """
        return self._survey(sized=True)[1]
