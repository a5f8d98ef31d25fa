"""Learns which keys are requested after which others.

>>> from tiercel.cache.associations import Associations
>>> known = Associations()
>>> for _ in range(20):
...     for key in ["menu", "dish", "price", "wine", "bill"]:
...         known.record(key)
>>> [prediction.key for prediction in known.predict("menu", limit=2)]
['dish', 'price']
>>> known.predict("soup")
[]
"""

from collections import OrderedDict, deque
from typing import Final, NamedTuple

from tiercel.cache.keys import Key
from tiercel.checks import number, whole
from tiercel.intervals import wilson_interval

__all__ = ["Associations", "Prediction"]

_MOST: Final = 256
"""Requests of a key after which its counts are halved, so that old habits fade."""


class Prediction(NamedTuple):
    """A key that is likely to be requested soon."""

    key: Key
    probability: float
    """A lower bound of the probability, with 97.5% confidence."""
    seen: int
    """How often the key followed the earlier one."""
    of: int
    """How often the earlier key was requested."""


class _Row:
    """The followers of one key."""

    __slots__ = ("followers", "of")

    def __init__(self) -> None:
        self.of = 0
        # Ordered by their last count.
        self.followers: OrderedDict[Key, int] = OrderedDict()


class Associations:
    """Counts which keys follow which within a few requests. Not thread-safe.

    Parameters
    ----------
    keys
        The most keys whose followers are counted. Beyond that, the least recently counted one is
        dropped.
    followers
        The most followers of a key. Beyond that, the least recently counted one is dropped.
    window
        The number of requests after a key that count as its followers.
    least
        The probability at which a follower is predicted, compared with the lower bound.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.
    """

    def __init__(self, keys: int = 4096, followers: int = 8, window: int = 4, least: float = 0.8) -> None:
        self._keys: Final = whole(keys, "keys", 1, 2**31)
        self._followers: Final = whole(followers, "followers", 1, 2**31)
        self.window: Final = whole(window, "window", 1, 64)
        self._least: Final = number(least, "least", 0, 1)
        self._rows: OrderedDict[Key, _Row] = OrderedDict()
        self._latest: deque[Key] = deque()

    def record(self, key: Key) -> None:
        """Record a request. The request that leaves the window is counted with all that followed it."""
        self._latest.append(key)
        if len(self._latest) > self.window:
            self._count(self._latest.popleft())

    def _count(self, key: Key) -> None:
        row = self._rows.pop(key, None) or _Row()
        self._rows[key] = row
        row.of += 1
        followers = row.followers
        # Each follower once. A set would have a different order in every process.
        for follower in dict.fromkeys(self._latest):
            if follower != key:
                followers[follower] = followers.pop(follower, 0) + 1
        while len(followers) > self._followers:
            followers.popitem(last=False)
        if row.of >= _MOST:
            row.of //= 2
            for follower in followers:
                followers[follower] //= 2
        if len(self._rows) > self._keys:
            self._rows.popitem(last=False)

    def predict(self, key: Key | None = None, limit: int = 8) -> list[Prediction]:
        """Predict up to `limit` keys after a key, or the last recorded one, likeliest first."""
        if key is None and self._latest:
            key = self._latest[-1]
        row = None if key is None else self._rows.get(key)
        if row is None:
            return []
        of = row.of
        likely = [
            Prediction(follower, bound, seen, of)
            for follower, seen in row.followers.items()
            # The share is above its lower bound, and cheaper to compute.
            if seen >= self._least * of and (bound := wilson_interval(seen, of)[0]) >= self._least
        ]
        likely.sort(key=lambda prediction: -prediction.probability)
        return likely[:limit]

    def __len__(self) -> int:
        """Return the number of keys whose followers are counted."""
        return len(self._rows)
