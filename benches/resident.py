"""Load an index from a file, search it, and print as JSON how much memory that took.

python benches/resident.py ENGINE FILE COUNT DIM

In a process of its own, because memory that another engine has freed would be taken again and not be seen.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
from engines import ENGINES

QUERIES = 200


def status(field: str) -> int:
    """Bytes that Linux tells about this process: VmRSS, what is resident, or VmHWM, the most that ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main() -> None:
    engine, path, count, dim = ENGINES[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    importlib.import_module(engine.module)
    queries = np.random.default_rng(0).normal(size=(QUERIES, dim)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    before = status("VmRSS")
    index = engine.load(path, count, dim)
    # What a search needs beside the index counts, too.
    engine.search(index, queries, 100)
    resident, peak = status("VmRSS"), status("VmHWM")
    print(json.dumps({"resident_bytes": resident - before, "peak_bytes": peak - before}))


if __name__ == "__main__":
    main()
