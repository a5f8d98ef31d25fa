"""The instruction sets of this machine, found without tiercel, to show errors in its detection."""

import platform
import sys
from pathlib import Path

from tiercel._core import simd_levels

# Flags of /proc/cpuinfo that each one needs.
AVX2 = {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "popcnt"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}


def machine_levels() -> list[str]:
    """Instruction sets that a full run of the tests must cover, weakest first."""
    cpuinfo = Path("/proc/cpuinfo")
    if sys.platform != "linux" or platform.machine() != "x86_64" or not cpuinfo.exists():
        return [name for name, there in simd_levels().items() if there]
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    flags = next((set(value.split()) for name, _, value in lines if name.strip() == "flags"), set[str]())
    return ["scalar", *(name for name, needs in [("avx2", AVX2), ("avx512", AVX512)] if needs <= flags)]


LEVELS = machine_levels()
