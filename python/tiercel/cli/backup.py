"""`tiercel backup`: a copy of a collection."""

import argparse

from tiercel.cli.answer import Answer
from tiercel.cli.beginning import Beginning
from tiercel.cli.collections import open_collection
from tiercel.cli.interrupts import interruptible


def run(args: argparse.Namespace) -> Answer:
    """Write a complete copy to a new or empty directory."""
    with open_collection(args.directory) as collection:
        there = Beginning(args.to)
        try:
            interruptible(lambda: collection.backup(args.to))
        except KeyboardInterrupt:
            there.restore()
            raise
        records = len(collection)
    return Answer(
        {"directory": args.directory, "to": args.to, "records": records},
        [f"{records:,} records copied to {args.to}"],
    )
