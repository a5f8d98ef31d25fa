"""Limits that Linux control groups (version 1 and 2) put on this process.

A container sees the whole machine in `/proc/cpuinfo` and `/proc/meminfo`. Its real limits are in
the files of its control group and of every group above.
"""

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many processors' worth of time this process may use, or None without a limit."""
    quotas: list[float] = []
    for directory in _groups(root, "cpu"):
        words = _read(directory / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            quota, period = _number(words[0]), _number(words[1])
        else:
            quota, period = _read_number(directory / "cpu.cfs_quota_us"), _read_number(directory / "cpu.cfs_period_us")
        # Version 1 writes -1 for no limit.
        if quota is not None and period is not None and quota > 0 and period > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes that the group of this process may use, or None without a limit."""
    return min((limit for _, limit in _memory_limits(root)), default=None)


def memory_available(root: Path = _ROOT) -> int | None:
    """Return the bytes still free below the tightest limit, or None without a limit.

    Cached file pages count as free.
    """
    free: list[int] = []
    for directory, limit in _memory_limits(root):
        used, prefix = _read_number(directory / "memory.current"), ""
        if used is None:
            used, prefix = _read_number(directory / "memory.usage_in_bytes"), "total_"
        if used is None:
            continue
        cached = sum(_statistic(directory / "memory.stat", f"{prefix}{kind}_file") for kind in ("inactive", "active"))
        free.append(max(0, limit - used + cached))
    return min(free, default=None)


def _memory_limits(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield every group with a limit, and the limit.

    Version 1 writes a huge number, above any memory, for no limit.
    """
    for directory in _groups(root, "memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limit = _read_number(directory / name)
            if limit is not None and limit >= 0:
                yield directory, limit


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of the groups of this process, its own first, in both versions."""
    paths: dict[str, str] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif controller in controllers.split(","):
            paths["cgroup"] = path
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if len(mount) < 5 or len(kind) < 3 or kind[0] not in paths:
            continue
        if kind[0] == "cgroup" and controller not in kind[2].split(","):
            continue
        yield from _upwards(root, mounted=mount[3], at=mount[4], path=paths[kind[0]])


def _upwards(root: Path, mounted: str, at: str, path: str) -> Iterator[Path]:
    """Yield the directories from the group `path` up to the mount point `at`.

    The mount point shows the part of the hierarchy below `mounted`.
    """
    top = root / at.lstrip("/")
    # A container without its own namespace gets its path on the host, but sees only the end of it.
    inner = path.removeprefix(mounted) if mounted != "/" else path
    directory = top / inner.lstrip("/")
    if ".." in directory.parts or not directory.is_dir():
        directory = top
    while directory != top:
        yield directory
        directory = directory.parent
    yield top


def _statistic(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value) or 0
    return 0


def _read_number(path: Path) -> int | None:
    return _number(_read(path))


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
