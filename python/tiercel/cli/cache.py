"""`tiercel cache`: inspects a directory of a tier, or replays a trace."""

import argparse
from collections.abc import Callable
from typing import Any

from tiercel.cache.replay import replay, replay_two_tiers
from tiercel.cache.traces import Trace, read_trace
from tiercel.cli.answer import Answer
from tiercel.cli.cache_repair import repair
from tiercel.cli.progress import progress
from tiercel.cli.tiers import check_failures, damage, file_bytes_of, look, open_tier
from tiercel.errors import InvalidInputError

# The largest size, in keys of a kibibyte or in bytes.
_MOST = 1 << 48


def run(args: argparse.Namespace) -> Answer:
    """Run the action."""
    actions: dict[str, Callable[[argparse.Namespace], Answer]] = {
        "stats": _stats,
        "verify": _verify,
        "repair": repair,
        "clear": _clear,
        "replay": _replay,
    }
    return actions[args.action](args)


def _stats(args: argparse.Namespace) -> Answer:
    found = look(args.directory)
    file_bytes = file_bytes_of(args.directory)
    document = {
        "directory": args.directory,
        "entries": found.entries,
        "bytes": found.bytes,
        "file_bytes": file_bytes,
    }
    lines = [f"entries      {found.entries:,}", f"bytes        {found.bytes:,}, in files of {file_bytes:,}"]
    return Answer(document, lines)


def _verify(args: argparse.Namespace) -> Answer:
    values, damaged = damage(args.directory)
    document = {"directory": args.directory, "values": values, "damaged": damaged}
    lines = [f"{values:,} values, {f'{damaged:,} damaged' if damaged else 'none damaged'}"]
    return Answer(document, lines, code=1 if damaged else 0)


def _clear(args: argparse.Namespace) -> Answer:
    with open_tier(args.directory) as tier:
        entries = len(tier)
        tier.clear()
        check_failures(tier, args.directory)
    return Answer({"directory": args.directory, "forgotten": entries}, [f"{entries:,} values removed"])


def _replay(args: argparse.Namespace) -> Answer:
    for name, sizes in (("--size", args.size), ("--below", [] if args.below is None else [args.below])):
        for size in sizes:
            if not 1 <= size <= _MOST:
                raise InvalidInputError(f"{name}: expected an int from 1 to {_MOST}, got {size}")
    trace = read_trace(args.trace)
    unit = "keys" if trace.sizes is None else "bytes"
    rows = [_replayed(trace, size, args.below, unit) for size in args.size]
    document = {"trace": args.trace, "requests": len(trace.keys), "unit": unit, "sizes": rows}
    names = {"hits": "memory", "lru_hits": "LRU"}
    if args.below is not None:
        document["below"] = args.below
        names = {"first_hits": "memory", "first_lru_hits": "LRU", "hits": "both", "lru_hits": f"LRU of {args.below:,}"}
    lines = [f"{len(trace.keys):,} requests", f"{unit:>15}" + "".join(f"  {name:>12}" for name in names.values())]
    lines += [
        f"{row['size']:>15,}" + "".join(f"  {row[name] / row['requests']:>12.2%}" for name in names) for row in rows
    ]
    return Answer(document, lines)


def _replayed(trace: Trace, size: int, below: int | None, unit: str) -> dict[str, Any]:
    with progress(f"replay {size:,} {unit}") as report:
        if below is None:
            return {"size": size, **replay(trace, size, progress=report)._asdict()}
        return {"size": size, **replay_two_tiers(trace, size, below, progress=report)._asdict()}
