"""A tier in memory takes little more than its size, and `clear` returns memory to the system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20
SIZE = 32 * MIB

CHILD = """
import json, random, sys, threading
from tiercel.cache import Memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

kind, size = sys.argv[1], int(sys.argv[2])
choose, blob = random.Random(1), random.Random(2).randbytes(1 << 20)
sizes = {
    "tiny": lambda: 20,
    "small": lambda: 700,
    "large": lambda: 100_000,
}
memory = Memory(size)
memory["warm"] = b"up"
before, most, put, number = resident(), 0, 0, 0

def fill():
    global most, put, number
    while put < 3 * size:
        length = sizes[kind]()
        start = choose.randrange(len(blob) - length)
        memory.put(f"key {number}", blob[start : start + length])
        memory.get(f"key {choose.randrange(number + 1)}")
        number, put = number + 1, put + length + 130
        if number % 1000 == 0 or length > 50_000:
            most = max(most, resident())

if kind == "small":
    thread = threading.Thread(target=fill)
    thread.start()
    thread.join()
else:
    fill()
most, held = max(most, resident()), memory.bytes
memory.clear()
print(json.dumps({"most": most - before, "held": held, "cleared": resident() - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
@pytest.mark.parametrize("kind", ["tiny", "small", "large"])
def test_a_tier_takes_the_memory_that_its_size_says_and_gives_it_back(kind: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", CHILD, kind, str(SIZE)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    # Partly filled pages (of 4 MiB for large values) and values in transit take some more.
    assert told["most"] <= SIZE + 8 * MIB, told
    assert told["held"] >= 0.85 * SIZE, told
    assert told["cleared"] <= 5 * MIB, told
