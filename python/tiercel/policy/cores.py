"""How many threads are worth starting: the one answer that the package and its compiled module go by."""

import math
import os
import time

from tiercel.policy import cgroup

__all__ = ["cores"]

# When the quota was last looked up, and what it was. A look reads several files, which takes longer than a short search.
_looked: tuple[float, float | None] = (-math.inf, None)


def cores(max_age: float = 1.0) -> int:
    """Cores that this process may use: after affinity and a container's quota (rounded down, at least 1).

    The quota may be from an earlier call, made up to `max_age` seconds ago.
    """
    global _looked  # noqa: PLW0603 - a pair is replaced at once, so threads need no lock
    # Older interpreters know affinity on Linux only; elsewhere all cores count.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    now = time.monotonic()
    at, quota = _looked
    if now - at >= max_age:
        quota = cgroup.cpu_quota()
        _looked = now, quota
    return allowed if quota is None else max(1, min(allowed, int(quota)))
