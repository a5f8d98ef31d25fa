"""`tiercel backup`: a copy of a collection."""

import argparse

from tiercel.cli.answer import Answer
from tiercel.cli.collections import open_collection


def run(args: argparse.Namespace) -> Answer:
    """Write a complete copy to a directory that is new or empty."""
    with open_collection(args.directory) as collection:
        collection.backup(args.to)
        records = len(collection)
    return Answer(
        {"directory": args.directory, "to": args.to, "records": records},
        [f"{records:,} records copied to {args.to}"],
    )
