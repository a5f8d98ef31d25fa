"""`tiercel export`: the records of a collection as lines of JSON."""

import argparse
from collections.abc import Iterator

from tiercel import Collection, InvalidInputError
from tiercel.cli.answer import Answer
from tiercel.cli.collections import open_to_read
from tiercel.cli.files import check_target
from tiercel.cli.jsonl import dump, new_file
from tiercel.cli.progress import progress


def run(args: argparse.Namespace) -> Answer:
    """Write every record in the order they were written, as `tiercel ingest` reads them."""
    if args.output is None:
        if args.json:
            raise InvalidInputError("--json: expected --output, too: without it the records are printed")
        return Answer({}, _printed(args.directory))
    check_target(args.output, "--output")
    written = 0
    with (
        open_to_read(args.directory) as collection,
        progress("exporting") as report,
        new_file(args.output) as file,
    ):
        for line in _records(collection):
            file.write(line + "\n")
            written += 1
            if report is not None:
                report(written, len(collection))
    document = {"directory": args.directory, "output": args.output, "records": written}
    return Answer(document, [f"{written:,} records in {args.output}"])


def _printed(directory: str) -> Iterator[str]:
    with open_to_read(directory) as collection:
        yield from _records(collection)


def _records(collection: Collection) -> Iterator[str]:
    return map(dump, collection.scan(include=["text", "metadata", "vector"]))
