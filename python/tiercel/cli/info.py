"""`tiercel info`: this machine, and a saved index."""

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np

import tiercel
from tiercel import Index, _core
from tiercel.cli.answer import Answer, size
from tiercel.cli.files import load_index


def run(args: argparse.Namespace) -> Answer:
    """Show versions and hardware, and with a file also its index."""
    machine = tiercel.hardware()
    document: dict[str, Any] = {
        "version": tiercel.__version__,
        "build_profile": _core.build_profile,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "hardware": machine.to_dict(),
    }
    caches = (
        f"{name} {_size(value)}"
        for name, value in (("L1d", machine.cache_l1d), ("L2", machine.cache_l2), ("L3", machine.cache_l3))
    )
    lines = [
        f"tiercel      {tiercel.__version__} ({_core.build_profile})",
        f"python       {document['python']}, numpy {np.__version__}",
        f"platform     {document['platform']}",
        f"cores        {machine.cores} to use, {machine.cores_total or 'unknown'} in the machine",
        f"memory       {_size(machine.memory_available)} available of {_size(machine.memory_total)}",
        f"caches       {', '.join(caches)}",
        f"simd         {machine.simd} in use, of {', '.join(machine.simd_levels)}",
    ]
    if args.file is not None:
        index = load_index(args.file)
        document["index"] = describe(index) | {"file": args.file, "file_bytes": Path(args.file).stat().st_size}
        lines += [f"file         {args.file}, {size(document['index']['file_bytes'])}", *index_lines(index)]
    return Answer(document, lines)


def describe(index: Index) -> dict[str, Any]:
    """Describe an index for `--json`."""
    return {
        "dim": index.dim,
        "metric": index.metric,
        "dtype": index.dtype,
        "m": index.m,
        "ef_construction": index.ef_construction,
        "seed": index.seed,
        "stats": index.stats(),
    }


def index_lines(index: Index) -> list[str]:
    """Describe an index for people."""
    stats = index.stats()
    if stats["linked"]:
        how = f"graph of {stats['linked']:,}, {stats['levels']} levels, mean degree {stats['mean_degree']:.1f}"
    else:
        how = f"{stats['lists']:,} lists" if stats["lists"] else "scanned"
    lines = [
        f"vectors      {stats['len']:,} of dim {index.dim}, {index.metric}, {index.dtype}",
        f"search       {how}; codes {stats['storage']}",
        f"in memory    {size(stats['bytes']['total'])}; without the vectors {stats['bytes_per_vector']:.0f} bytes per vector",
    ]
    return lines if stats["why"] is None else [*lines, f"budget       {stats['why']}"]


def _size(value: int | None) -> str:
    return "unknown" if value is None else size(value)
