"""Remote tiers: an object store, Redis, or any object. Each may fail without harming the cache."""

from tiercel.cache.remote.agentfs import AgentFS
from tiercel.cache.remote.base import RemoteTier, RemoteTierStats
from tiercel.cache.remote.objects import Object
from tiercel.cache.remote.redis import Redis
from tiercel.cache.remote.wrapped import Wrapped

__all__ = ["AgentFS", "Object", "Redis", "RemoteTier", "RemoteTierStats", "Wrapped"]
