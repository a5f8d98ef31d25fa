"""Tiers outside of the process: an object store, Redis, any object; each may fail without harm."""

from tiercel.cache.remote.agentfs import AgentFS
from tiercel.cache.remote.base import RemoteTier, RemoteTierStats
from tiercel.cache.remote.objects import Object
from tiercel.cache.remote.redis import Redis
from tiercel.cache.remote.wrapped import Wrapped

__all__ = ["AgentFS", "Object", "Redis", "RemoteTier", "RemoteTierStats", "Wrapped"]
