"""Load an index from a file, search it, and print the memory that this took, as JSON.

python benches/resident.py ENGINE FILE COUNT DIM

This needs a separate process, because memory freed by another engine would be reused and not
counted.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
from engines import ENGINES

QUERIES = 200


def status(field: str) -> int:
    """Bytes that Linux reports for this process: VmRSS, resident now, or VmHWM, the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main() -> None:
    engine, path, count, dim = ENGINES[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    importlib.import_module(engine.module)
    queries = np.random.default_rng(0).normal(size=(QUERIES, dim)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    before = status("VmRSS")
    index = engine.load(path, count, dim)
    # Memory that a search needs beside the index counts as well.
    engine.search(index, queries, 100)
    resident, peak = status("VmRSS"), status("VmHWM")
    print(json.dumps({"resident_bytes": resident - before, "peak_bytes": peak - before}))


if __name__ == "__main__":
    main()
