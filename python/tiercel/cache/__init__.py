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
from tiercel.cache.prefetch import Prefetcher
from tiercel.cache.queued_tier import CacheTierStats
from tiercel.cache.rebalance import Rebalanced
from tiercel.cache.remote import AgentFS, Object, Redis, RemoteTier, RemoteTierStats, Wrapped
from tiercel.cache.shared import Answer
from tiercel.cache.tiers import Files, Key, Memory, PersistentTier, Store, Tier, TierStats

__all__ = [
    "AgentFS",
    "Answer",
    "Cache",
    "CacheStats",
    "CacheTierStats",
    "Files",
    "Key",
    "Memory",
    "Object",
    "PersistentTier",
    "Prefetcher",
    "Rebalanced",
    "Redis",
    "RemoteTier",
    "RemoteTierStats",
    "Store",
    "Tier",
    "TierStats",
    "Wrapped",
]
