"""The process to be killed: threads that write without end and report each batch.

python benches/reliability/writer.py DIRECTORY DURABILITY SEED SLOTS SYNCS FIRST...

FIRST is the number of the first batch of each thread. After each batch, a line `thread batch` is
written to stdout.
"""

import contextlib
import itertools
import os
import sys
import threading

from history import DIM, Writer

import tiercel


def write(collection: tiercel.Collection, writer: Writer, first: int) -> None:
    """Write until the disk or the reader of stdout is gone."""
    with contextlib.suppress(tiercel.StorageFailedError, tiercel.CorruptionError, BrokenPipeError):
        for batch in itertools.count(first):
            writer.write(collection, batch)
            # One system call, so that lines of threads never mix and none waits in a buffer.
            os.write(1, f"{writer.number} {batch}\n".encode())


def main() -> None:
    """Start the threads; they end when the disk is gone."""
    path, durability, seed, slots, syncs, *firsts = sys.argv[1:]
    collection = tiercel.open(path, dim=DIM, durability=durability)
    for number, first in enumerate(firsts):
        writer = Writer(number, int(seed), int(slots), bool(int(syncs)))
        threading.Thread(target=write, args=(collection, writer, int(first))).start()


if __name__ == "__main__":
    main()
