"""`tiercel compact`: rebuilds a collection without its dead records."""

import argparse

from tiercel.cli.answer import Answer, size
from tiercel.cli.collections import open_collection
from tiercel.cli.interrupts import interruptible


def run(args: argparse.Namespace) -> Answer:
    """Rebuild the collection and return disk space."""
    with open_collection(args.directory) as collection:
        before = sum(collection.stats()["disk"].values())
        interruptible(collection.compact)
        after = sum(collection.stats()["disk"].values())
        records = len(collection)
    document = {"directory": args.directory, "records": records, "bytes_before": before, "bytes_after": after}
    return Answer(document, [f"{records:,} records; {size(before)} on disk before, {size(after)} now"])
