"""Caches: bytes by key, in memory and in files that outlive the process.

>>> from tiercel.cache import Memory
>>> memory = Memory(64 << 20)
>>> memory["greeting"] = b"hello"
>>> memory["greeting"]
b'hello'

Each tier is of use alone, as a `MutableMapping` of `str` or `bytes` keys (the text `"a"` and the bytes `b"a"` are two keys) to bytes. It
may forget any value at any time, to keep to its size or because what it kept is damaged; it never gives a value that was not put under
the key it is asked for.
"""

from tiercel.cache.cache import Cache, CacheStats
from tiercel.cache.level import LevelStats
from tiercel.cache.outside import AgentFS, Object, Outside, OutsideStats, Redis, Wrapped
from tiercel.cache.prefetch import Prefetcher
from tiercel.cache.rebalance import Rebalanced
from tiercel.cache.shared import Answer
from tiercel.cache.tiers import Files, Key, Lasting, Memory, Store, Tier, TierStats

__all__ = [
    "AgentFS",
    "Answer",
    "Cache",
    "CacheStats",
    "Files",
    "Key",
    "Lasting",
    "LevelStats",
    "Memory",
    "Object",
    "Outside",
    "OutsideStats",
    "Prefetcher",
    "Rebalanced",
    "Redis",
    "Store",
    "Tier",
    "TierStats",
    "Wrapped",
]
