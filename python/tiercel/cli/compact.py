"""`tiercel compact`: rebuilds a collection without its dead records."""

import argparse

from tiercel.cli.answer import Answer, size
from tiercel.cli.collections import open_collection
from tiercel.cli.interrupts import interruptible


def run(args: argparse.Namespace) -> Answer:
    """Rebuild the collection, with other codes if they are named, and return disk space."""
    with open_collection(args.directory, raw=args.raw) as collection:
        before = sum(collection.stats()["disk"].values())
        interruptible(lambda: collection.compact(storage=args.storage))
        after = sum(collection.stats()["disk"].values())
        records, storage = len(collection), collection.storage
    document = {
        "directory": args.directory,
        "records": records,
        "storage": storage,
        "bytes_before": before,
        "bytes_after": after,
    }
    return Answer(document, [f"{records:,} records; {size(before)} on disk before, {size(after)} now"])
