"""Every command and option of the command line."""

import argparse
from collections.abc import Iterable
from typing import Any, NoReturn

import tiercel
from tiercel.cli import collection_arguments as collections
from tiercel.cli.cache_arguments import cache
from tiercel.cli.order import options_first
from tiercel.cli.paths import Reads, writes
from tiercel.cli.printable import cell

EXIT_CODES = """\
exit codes:
  0    done
  1    the work failed: a damaged file, a file that cannot be read or written, a full disk, no memory, a collection
       that another process has open
  2    the command line or the input data is wrong: an unknown option, a missing file, a wrong shape, NaN
  130  interrupted with Ctrl-C

A failure prints one line on stderr, and with --json nothing on stdout.
"""


class _Parser(argparse.ArgumentParser):
    """Accepts options and other words in any order. Errors refer to the help of the command."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it has overloads for the type of namespace
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        # Only the parser that defines the options can distinguish them from their values.
        is_command = self._subparsers is None
        if is_command and args is not None:
            args = options_first(list(args), self._option_string_actions)
        known, unknown = super().parse_known_args(args, namespace)
        unknown = [word for word in unknown if word != "--"]
        if is_command and unknown:
            dashed = any(word.startswith("-") and not word.startswith("--") for word in unknown)
            hint = "; put -- before words that begin with a dash but are not options" if dashed else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        # The message quotes the command line, so it is escaped.
        self.exit(2, f"tiercel: error: {cell(message)} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line. `args.command` names the module to run."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="tiercel",
        description="Collections of records in directories, and nearest-neighbour search in files of vectors (.npy).",
        epilog=EXIT_CODES,
        formatter_class=raw,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tiercel {tiercel.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary, fill in (
        ("info", "describe this machine, and optionally a saved index", _info),
        ("build", "build an index from vectors and save it", _build),
        ("search", "search a saved index", _search),
        ("bench", "measure recall and queries per second", _bench),
        ("ingest", "write records from lines of JSON to a collection", collections.ingest),
        ("query", "search a collection by text, by vector or by both", collections.query),
        ("stats", "show the counters of a collection", collections.directory),
        ("verify", "read a whole collection and list what is damaged", collections.directory),
        ("compact", "rebuild a collection without dead records and return disk space", collections.compact),
        ("backup", "write a copy of a collection", collections.backup),
        ("export", "write the records of a collection as lines of JSON", collections.export),
        ("cache", "inspect or repair a cache directory, or replay a trace of accesses", cache),
        ("demo", "index, search and store the included WordNet sample, then kill a writer", _demo),
    ):
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=EXIT_CODES,
            formatter_class=raw,
            allow_abbrev=False,
        )
        fill(command)
        command.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Reads, metavar="FILE", nargs="?", help="an index that `tiercel build` or `Index.save` wrote"
    )


def _build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vectors", type=Reads, metavar="VECTORS.npy", help="array of shape (n, dim)")
    parser.add_argument(
        "-o",
        "--output",
        type=writes("--output"),
        metavar="FILE",
        required=True,
        help="index file to write; replaces an existing file once complete",
    )
    parser.add_argument(
        "--ids", type=Reads, metavar="IDS.npy", help="array of n distinct integers (default: 0, 1, 2, ...)"
    )
    _index_options(parser)
    _threads(parser)


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Reads, metavar="FILE", help="an index that `tiercel build` or `Index.save` wrote")
    parser.add_argument(
        "queries", type=Reads, metavar="QUERIES.npy", help="array of shape (n, dim), or (dim,) for one query"
    )
    parser.add_argument("-k", type=int, default=10, help="results per query (default: 10)")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--recall", type=float, help="target recall, above 0 and at most 1; 1 is exact search (default: 0.95)"
    )
    effort.add_argument(
        "--ef-search", type=int, metavar="EF", help="candidates kept during the walk, instead of --recall"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=writes("--output"),
        metavar="OUT.npz",
        help="write the arrays ids, distances and counts to this file instead of printing the results",
    )
    collections.raw(parser, ("memory", "disk", "none"), "; none leaves codes alone")
    collections.rerank(parser, "; none with --raw none")
    _threads(parser)


def _bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "vectors",
        type=Reads,
        metavar="VECTORS.npy",
        nargs="?",
        help="array of shape (n, dim) (default: the WordNet sample)",
    )
    parser.add_argument(
        "queries",
        type=Reads,
        metavar="QUERIES.npy",
        nargs="?",
        help="array of shape (q, dim) (default: some of the vectors, left out of the index)",
    )
    parser.add_argument("-k", type=int, default=10, help="results per query (default: 10)")
    parser.add_argument(
        "--plot",
        type=writes("--plot"),
        metavar="FILE.png",
        help="also draw the curve; needs matplotlib: pip install 'tiercel[plot]'",
    )
    _index_options(parser)
    collections.rerank(parser, "; none with --raw none")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads per search (default: 1); the index is built on all cores"
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    _threads(parser)


def _index_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"), default="cosine", help="distance (default: cosine)"
    )
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32", help="how vectors are stored (default: f32)")
    collections.storage(parser, "auto", "default: auto")
    collections.raw(parser, ("memory", "disk", "none"), "; none leaves codes alone")
    parser.add_argument(
        "--memory",
        metavar="AMOUNT",
        help="the most memory for the index, such as 2GB, which then chooses codes and where the vectors are",
    )
    parser.add_argument(
        "--kind",
        choices=("hnsw", "ivf", "flat"),
        default="hnsw",
        help="walk through a graph, scan the nearest lists, or scan all (default: hnsw)",
    )
    parser.add_argument("--m", type=int, default=16, help="neighbours of a vector in the graph (default: 16)")
    parser.add_argument(
        "--ef-construction",
        type=int,
        default=200,
        metavar="EF",
        help="candidates kept while a vector is linked (default: 200)",
    )


def _threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, help="threads to use (default: all cores that this process may use)")
