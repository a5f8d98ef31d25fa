"""The resources of the machine: cores, memory, caches, instruction sets."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from tiercel._core import simd_level, simd_levels
from tiercel.policy import cgroup, system
from tiercel.policy.cores import cores

__all__ = ["Hardware", "hardware"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """The resources of the machine. Sizes are in bytes; None if the system does not report one."""

    cores: int
    """Cores that this process may use: after affinity and a container's quota (rounded down, at least 1)."""
    cores_total: int | None
    """Logical cores of the machine."""
    memory_total: int | None
    """Memory that this process may use: the machine's or a container's limit, whichever is less."""
    memory_available: int | None
    """Memory that can still be taken without swapping; caches of file content count as available."""
    cache_l1d: int | None
    """Level 1 data cache of one core."""
    cache_l2: int | None
    """Level 2 cache of one core or cluster."""
    cache_l3: int | None
    """Level 3 cache that the first core sees."""
    simd_levels: tuple[str, ...]
    """Instruction sets of this machine that tiercel has kernels for, weakest first."""
    simd: str
    """Instruction set in use: the best, or the one that the environment variable TIERCEL_SIMD names."""

    def to_dict(self) -> dict[str, Any]:
        """Return the same as a dictionary that `json.dumps` accepts."""
        return {**asdict(self), "simd_levels": list(self.simd_levels)}


def hardware() -> Hardware:
    """Inspect the machine as it is now. Limits of a container may change while a program runs.

    Raises
    ------
    InvalidInputError
        TIERCEL_SIMD names an instruction set that is unknown or that this machine lacks.

    Examples
    --------
    >>> import tiercel
    >>> machine = tiercel.hardware()
    >>> machine.cores >= 1
    True
    >>> machine.simd in machine.simd_levels
    True
    """
    total, available = system.memory()
    caches = system.caches()
    return Hardware(
        cores=cores(max_age=0),
        cores_total=os.cpu_count(),
        memory_total=_least(total, cgroup.memory_limit()),
        memory_available=_least(available, cgroup.memory_available()),
        cache_l1d=caches.get(1),
        cache_l2=caches.get(2),
        cache_l3=caches.get(3),
        simd_levels=tuple(name for name, available in simd_levels().items() if available),
        simd=simd_level(),
    )


def _least(first: int | None, second: int | None) -> int | None:
    return min((value for value in (first, second) if value is not None), default=None)
