"""Memory and caches as Linux, macOS or Windows report them; None if they do not."""

import ctypes
import sys
from pathlib import Path

_ROOT = Path("/")


def memory() -> tuple[int | None, int | None]:
    """Return the bytes of the machine's memory, in total and available."""
    if sys.platform == "win32":
        return _windows_memory()
    if sys.platform == "darwin":
        return _sysctl("hw.memsize"), None
    return _linux_memory()


def caches() -> dict[int, int]:
    """Return the bytes of the data caches that the first core sees, by level."""
    if sys.platform == "win32":
        return {}
    if sys.platform == "darwin":
        names = {1: "hw.l1dcachesize", 2: "hw.l2cachesize", 3: "hw.l3cachesize"}
        return {level: size for level, name in names.items() if (size := _sysctl(name)) is not None}
    return _linux_caches()


def _linux_memory(root: Path = _ROOT) -> tuple[int | None, int | None]:
    kilobytes: dict[str, int] = {}
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None, None
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            kilobytes[words[0]] = int(words[1])
    total, available = kilobytes.get("MemTotal:"), kilobytes.get("MemAvailable:")
    return total and total * 1024, available and available * 1024


def _linux_caches(root: Path = _ROOT) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for index in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="utf-8").strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                sizes[int(level)] = int(size.removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return sizes


def _sysctl(name: str) -> int | None:
    """Return a number that macOS publishes by name."""
    value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
    failed = ctypes.CDLL(None).sysctlbyname(
        name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    return None if failed or not value.value else value.value


class _WindowsMemory(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def _windows_memory() -> tuple[int | None, int | None]:
    status = _WindowsMemory(length=ctypes.sizeof(_WindowsMemory))
    kernel = getattr(ctypes, "windll", None)
    if kernel is None or not kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return int(status.total), int(status.available)
