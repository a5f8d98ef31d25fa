"""Options of `tiercel cache`."""

import argparse

from tiercel.cli.paths import Reads


def cache(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    # A subparser has separate options, so each action also needs `--json`.
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary, fill in (
        ("stats", "count the values and bytes of a tier", _directory),
        ("verify", "read every value of a tier and count what is damaged", _directory),
        ("repair", "remove what is damaged in a tier, and keep the rest", _directory),
        ("clear", "remove all values of a tier", _directory),
        ("replay", "replay a trace of accesses on one or two tiers, and compare the hits with an LRU", _replay),
    ):
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        fill(action)
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Reads, metavar="DIR", help="a directory of `tiercel.cache.Store` or `Files`")


def _replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace",
        type=Reads,
        metavar="TRACE",
        help="requested keys; the name ends in .trace, .lis, .oracleGeneral.bin or .txt, perhaps with .xz or .zst",
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=int,
        required=True,
        nargs="+",
        help="size of the memory tier in keys, or in bytes if the trace has sizes; several are tried in turn",
    )
    parser.add_argument(
        "--below",
        metavar="N",
        type=int,
        help="add a store for N keys below the memory tier; the LRU for both is as large as the store",
    )
