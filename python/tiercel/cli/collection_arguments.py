"""Options of the commands that work on collections."""

import argparse

from tiercel.cli.paths import Reads, writes


def ingest(parser: argparse.ArgumentParser) -> None:
    """Options of `tiercel ingest`."""
    parser.add_argument(
        "file",
        type=Reads,
        metavar="FILE.jsonl",
        help="a JSON object a line: id, and any of text, metadata, vector; plain or compressed by gzip; - for standard input",
    )
    parser.add_argument(
        "--into",
        type=writes("--into", "directory"),
        metavar="DIR",
        required=True,
        help="collection; made if there is none",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip records that are there already as they are: with this text, metadata and vector",
    )
    parser.add_argument(
        "--embedder",
        choices=("none", "hashing"),
        default="none",
        help="what makes vectors of texts that have none; hashing is lexical (default: none)",
    )


def query(parser: argparse.ArgumentParser) -> None:
    """Options of `tiercel query`."""
    directory(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="words to find; behind -- if they begin with a dash")
    parser.add_argument(
        "--syntax",
        choices=("plain", "operators"),
        default="plain",
        help='what signs in TEXT mean; operators: "a phrase", +required, -excluded (default: plain, nothing)',
    )
    parser.add_argument(
        "--vector", type=Reads, metavar="FILE.npy", help="array of shape (dim,): find vectors near it, too"
    )
    parser.add_argument("--filter", metavar="JSON", help="""only among these, as {"year": {"$gte": 2020}}""")
    parser.add_argument("-k", type=int, default=10, help="results (default: 10)")
    parser.add_argument("--explain", action="store_true", help="tell how they were found")


def backup(parser: argparse.ArgumentParser) -> None:
    """Options of `tiercel backup`."""
    directory(parser)
    parser.add_argument("to", type=writes("TO", "directory"), metavar="TO", help="directory that is new or empty")


def export(parser: argparse.ArgumentParser) -> None:
    """Options of `tiercel export`."""
    directory(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=writes("--output", "stream"),
        metavar="FILE.jsonl",
        help="file or pipe to write, compressed if its name ends in .gz (default, and -: the lines are printed)",
    )


def directory(parser: argparse.ArgumentParser) -> None:
    """The collection."""
    parser.add_argument("directory", type=Reads, metavar="DIR", help="a collection")
