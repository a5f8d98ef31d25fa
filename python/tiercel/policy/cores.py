"""The number of threads worth starting, for the package and its compiled module alike."""

import math
import os
import time

from tiercel.policy import cgroup

__all__ = ["cores"]

# The time of the last look at the quota, and the quota. A look reads several files, which takes
# longer than a short search.
_looked: tuple[float, float | None] = (-math.inf, None)


def cores(max_age: float = 1.0) -> int:
    """Return the cores that this process may use.

    They are limited by affinity and by a container's quota (rounded down, at least 1).

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
