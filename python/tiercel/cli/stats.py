"""`tiercel stats`: the counters of a collection."""

import argparse

from tiercel.cli.answer import Answer
from tiercel.cli.collections import collection_lines, describe, open_to_read


def run(args: argparse.Namespace) -> Answer:
    """Count records and bytes."""
    with open_to_read(args.directory) as collection:
        document = describe(collection, args.directory)
    return Answer(document, collection_lines(document))
