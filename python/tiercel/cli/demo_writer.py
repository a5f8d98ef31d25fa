"""The process that `tiercel demo` kills.

It writes batches until it is killed, and prints the number of each acknowledged batch.
"""

import sys

import numpy as np

import tiercel

BATCH = 50
DIM = 64


def batch_ids(number: int) -> list[str]:
    """Return the ids of the records in a batch."""
    return [f"{number}-{each}" for each in range(BATCH)]


def write(directory: str) -> None:
    """Write until the process ends."""
    random = np.random.default_rng(0)
    with tiercel.open(directory, dim=DIM) as collection:
        number = 0
        while True:
            vectors = random.normal(size=(BATCH, DIM))
            collection.upsert(batch_ids(number), vectors, [f"record of batch {number}"] * BATCH)
            print(number, flush=True)
            number += 1


if __name__ == "__main__":
    write(sys.argv[1])
