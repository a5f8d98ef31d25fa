"""`tiercel export`: the records of a collection as lines of JSON."""

import argparse
from collections.abc import Iterator

from tiercel import Collection, InvalidInputError
from tiercel.cli.answer import Answer
from tiercel.cli.collections import open_to_read
from tiercel.cli.jsonl import dump, write_lines
from tiercel.cli.paths import STANDARD
from tiercel.cli.progress import progress


def run(args: argparse.Namespace) -> Answer:
    """Write all records in the order of their writes, in the format of `tiercel ingest`."""
    if args.output is None or args.output == STANDARD:
        if args.json:
            raise InvalidInputError("--json: expected --output FILE as well; without it the records are printed")
        return Answer({}, _printed(args.directory))
    with open_to_read(args.directory) as collection:
        count = len(collection)
        write_lines(args.output, _reported(collection))
    document = {"directory": args.directory, "output": args.output, "records": count}
    return Answer(document, [f"{count:,} records in {args.output}"])


def _printed(directory: str) -> Iterator[str]:
    with open_to_read(directory) as collection:
        yield from _records(collection)


def _reported(collection: Collection) -> Iterator[str]:
    with progress("exporting") as report:
        for done, line in enumerate(_records(collection), start=1):
            yield line
            if report is not None:
                report(done, len(collection))


def _records(collection: Collection) -> Iterator[str]:
    return map(dump, collection.scan(include=["text", "metadata", "vector"]))
