"""Tiers outside of the process: an object store, Redis, any object; each may fail without harm."""

from tiercel.cache.outside.agentfs import AgentFS
from tiercel.cache.outside.base import Outside, OutsideStats
from tiercel.cache.outside.objects import Object
from tiercel.cache.outside.redis import Redis
from tiercel.cache.outside.wrapped import Wrapped

__all__ = ["AgentFS", "Object", "Outside", "OutsideStats", "Redis", "Wrapped"]
