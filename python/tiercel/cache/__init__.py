"""Caches: Python values by key, in a stack of tiers; and the tiers themselves.

>>> from tiercel.cache import Memory
>>> memory = Memory(64 << 20)
>>> memory["greeting"] = b"hello"
>>> memory["greeting"]
b'hello'

Each tier also works alone, as a `MutableMapping` from `str` or `bytes` keys to bytes. The text
`"a"` and the bytes `b"a"` are two keys. A tier may drop any value at any time, to stay within its
size or because the value is damaged. It never returns a value that was not put under the requested
key.
"""

from tiercel.cache.cache import Cache, CacheStats
from tiercel.cache.keys import Key
from tiercel.cache.prefetch import Prefetcher
from tiercel.cache.queued_tier import CacheTierStats
from tiercel.cache.rebalance import Rebalanced
from tiercel.cache.remote import AgentFS, Object, Redis, RemoteTier, RemoteTierStats, Wrapped
from tiercel.cache.shared import Answer
from tiercel.cache.tiers import Files, Memory, PersistentTier, Store, Tier, TierStats

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
