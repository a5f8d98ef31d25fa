"""Measure a fresh process: this one. Prints JSON.

python child.py open DIRECTORY                  open a collection, search it
python child.py die DIRECTORY BYTES OPTIONS     write that many bytes of vectors, then be killed
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

QUERIES = 200


def open_and_search(path: str) -> None:
    begin = time.perf_counter()
    import numpy as np

    import tiercel

    imported = time.perf_counter()
    from measure import resident_bytes

    rng = np.random.default_rng(0)
    before = resident_bytes()
    start = time.perf_counter()
    collection = tiercel.open(path)
    opened = time.perf_counter()
    dim = collection.dim or 0
    queries = rng.standard_normal((QUERIES, dim), np.float32)
    ready = time.perf_counter()
    list(collection.search(queries[0]))
    searched = time.perf_counter()
    for query in queries:
        collection.search(query)
    print(
        json.dumps(
            {
                "import": imported - begin,
                "open": opened - start,
                "search": searched - ready,
                "records": len(collection),
                "resident": resident_bytes() - before,
            }
        )
    )
    sys.stdout.flush()
    # Do not close: closing may write.
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_die(path: str, size: int, data: str, count: str, times: str) -> None:
    from data import load

    import tiercel

    documents = load(Path(data) if data else None, int(count) if count else None, int(times))
    collection = tiercel.open(path)
    records = size // documents.vectors[0].nbytes
    written = 0
    while written < records:
        for ids, vectors, texts, metadata in documents.batches():
            some = min(len(ids), records - written)
            fresh = [f"tail-{written + at}" for at in range(some)]
            # Negated, so that they are new vectors.
            written += collection.upsert(fresh, -vectors[:some], texts[:some], metadata[:some])
            if written == records:
                break
    wrote = {"records": records, "bytes": records * documents.vectors[0].nbytes, "there": len(collection)}
    print(json.dumps(wrote), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "open":
        open_and_search(sys.argv[2])
    else:
        write_and_die(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
