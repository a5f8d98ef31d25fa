"""`tiercel build`: vectors in, index file out."""

import argparse
import time
from pathlib import Path

from tiercel import Index
from tiercel.cli.answer import Answer, size
from tiercel.cli.files import load_array
from tiercel.cli.info import describe, index_lines
from tiercel.cli.progress import progress


def run(args: argparse.Namespace) -> Answer:
    """Build an index from a `.npy` file and save it."""
    vectors = load_array(args.vectors, "VECTORS.npy", ranks=(2,))
    ids = None if args.ids is None else load_array(args.ids, "--ids", ranks=(1,))
    chosen = (args.metric, args.dtype, args.storage, args.m, args.ef_construction)
    index = Index(vectors.shape[1], *chosen, raw=args.raw, memory=args.memory, kind=args.kind)
    start = time.perf_counter()
    with progress("building") as report:
        index.add(vectors, ids, threads=args.threads, progress=report)
        index.optimize(threads=args.threads, progress=report)
    seconds = time.perf_counter() - start
    index.save(args.output)
    file_bytes = Path(args.output).stat().st_size
    document = describe(index) | {"file": args.output, "file_bytes": file_bytes, "seconds": seconds}
    return Answer(
        document,
        [f"built in     {seconds:.2f} s", *index_lines(index), f"file         {args.output}, {size(file_bytes)}"],
    )
