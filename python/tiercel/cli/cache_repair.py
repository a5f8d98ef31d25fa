"""`tiercel cache repair`: removes the damaged parts of a tier."""

import argparse
import tempfile

from tiercel.cache import Files, Store
from tiercel.cli.answer import Answer
from tiercel.cli.progress import progress
from tiercel.cli.tiers import check_failures, damage, file_bytes_of, open_tier


def repair(args: argparse.Namespace) -> Answer:
    """Remove what is damaged and keep the rest. The exit code is 1 if damage is left."""
    values, damaged = damage(args.directory)
    left = 0
    if damaged:
        _forget_damaged(args.directory)
        values, left = damage(args.directory)
    if left:
        # The damage is in a part of the log, not in a value.
        _write_anew(args.directory)
        values, left = damage(args.directory)
    document = {"directory": args.directory, "values": values, "removed": damaged - left, "damaged": left}
    lines = [f"{values:,} values, {f'{damaged - left:,} damaged parts removed' if damaged else 'none was damaged'}"]
    return Answer(document, lines, code=1 if left else 0)


def _forget_damaged(directory: str) -> None:
    with open_tier(directory) as tier, progress("reading") as report:
        keys = list(tier)
        for done, key in enumerate(keys, start=1):
            # Reading a damaged value removes it.
            tier.get(key)
            if report is not None:
                report(done, len(keys))
        _flush(tier, directory)


def _write_anew(directory: str) -> None:
    """Put all values aside, clear the tier, and put them back."""
    room = max(64 * file_bytes_of(directory), 1 << 20)
    with (
        tempfile.TemporaryDirectory(prefix="tiercel-repair-") as aside,
        Store(aside, room) as copy,
        open_tier(directory) as tier,
    ):
        _copy(tier, copy)
        _flush(copy, aside)
        tier.clear()
        _copy(copy, tier)
        _flush(tier, directory)


def _copy(source: Store | Files, target: Store | Files) -> None:
    with progress("copying") as report:
        keys = list(source)
        for done, key in enumerate(keys, start=1):
            value = source.get(key)
            if value is not None:
                target[key] = value
            if report is not None:
                report(done, len(keys))


def _flush(tier: Store | Files, directory: str) -> None:
    tier.flush()
    check_failures(tier, directory)
