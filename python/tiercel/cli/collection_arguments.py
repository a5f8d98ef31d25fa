"""Options of the commands that work on collections."""

import argparse

from tiercel.cli.paths import Reads, writes


def ingest(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tiercel ingest`."""
    parser.add_argument(
        "file",
        type=Reads,
        metavar="FILE.jsonl",
        help="one JSON object per line: id, and any of text, metadata, vector; plain or gzip; - for standard input",
    )
    parser.add_argument(
        "--into",
        type=writes("--into", "directory"),
        metavar="DIR",
        required=True,
        help="collection; created if it does not exist",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip records that the collection already has with the same text, metadata and vector",
    )
    parser.add_argument(
        "--embedder",
        choices=("none", "hashing"),
        default="none",
        help="embedder for texts without a vector; hashing is lexical (default: none)",
    )

    storage(parser, None, "default: auto, or as in the collection")
    raw(parser, ("memory", "disk"))


def query(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tiercel query`."""
    directory(parser)
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", help="words to find; put -- before them if they begin with a dash"
    )
    parser.add_argument(
        "--syntax",
        choices=("plain", "operators"),
        default="plain",
        help='meaning of signs in TEXT; operators: "a phrase", +required, -excluded (default: plain, none)',
    )
    parser.add_argument(
        "--vector", type=Reads, metavar="FILE.npy", help="array of shape (dim,): also find vectors near it"
    )
    parser.add_argument("--filter", metavar="JSON", help="""only matching records, as in {"year": {"$gte": 2020}}""")
    parser.add_argument("-k", type=int, default=10, help="results (default: 10)")
    raw(parser, ("memory", "disk"))
    rerank(parser)
    parser.add_argument("--explain", action="store_true", help="show how the results were found")


def compact(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tiercel compact`."""
    directory(parser)
    storage(parser, None, "default: as before")
    raw(parser, ("memory", "disk"))


def backup(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tiercel backup`."""
    directory(parser)
    parser.add_argument("to", type=writes("TO", "directory"), metavar="TO", help="new or empty directory")


def export(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tiercel export`."""
    directory(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=writes("--output", "stream"),
        metavar="FILE.jsonl",
        help="file or pipe to write, compressed if its name ends in .gz (default and -: standard output)",
    )


def storage(parser: argparse.ArgumentParser, default: str | None, told: str) -> None:
    """Add the option that names the codes of an index."""
    parser.add_argument(
        "--storage",
        default=default,
        help="codes that a search compares: auto, sq4, sq8, rabitq1 to rabitq4, f16, bf16, raw, or a name with parts "
        f"such as pq48x8, opq96x4 or rq4x8 ({told})",
    )


def raw(parser: argparse.ArgumentParser, places: tuple[str, ...], told: str = "") -> None:
    """Add the option that says where full vectors are."""
    parser.add_argument(
        "--raw",
        choices=places,
        default="memory",
        help=f"where the full vectors are while the command runs{told} (default: memory)",
    )


def rerank(parser: argparse.ArgumentParser, told: str = "") -> None:
    """Add the option that says what the best candidates are compared with once more."""
    parser.add_argument(
        "--rerank",
        choices=("full", "f16", "none"),
        help="what the best candidates are compared with once more: full vectors, a copy of them in half precision, "
        f"or nothing (default: full{told})",
    )


def directory(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the collection."""
    parser.add_argument("directory", type=Reads, metavar="DIR", help="a collection")
