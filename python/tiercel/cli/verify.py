"""`tiercel verify`: looks for damage in a collection."""

import argparse

from tiercel.cli.answer import Answer
from tiercel.cli.collections import open_to_read
from tiercel.cli.interrupts import interruptible
from tiercel.errors import CorruptionError


def run(args: argparse.Namespace) -> Answer:
    """Read everything. The exit code is 1 if something is damaged."""
    try:
        with open_to_read(args.directory) as collection:
            damage = interruptible(collection.verify)
            records = len(collection)
    except CorruptionError as error:
        # Too damaged to open: report the first damage.
        damage, records = [str(error)], None
    document = {"directory": args.directory, "records": records, "damage": damage}
    lines = [f"damaged      {each}" for each in damage] or [f"{records or 0:,} records, nothing is damaged"]
    return Answer(document, lines, code=1 if damage else 0)
