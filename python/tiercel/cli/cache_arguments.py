"""Options of `tiercel cache`."""

import argparse

from tiercel.cli.paths import Reads


def cache(parser: argparse.ArgumentParser) -> None:
    """What to do, and with what."""
    # A command has options of its own, so each action needs `--json`, too.
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary, fill in (
        ("stats", "count what is in a store", _directory),
        ("verify", "read every value of a store and count those that are damaged", _directory),
        ("repair", "remove what is damaged in a store, and keep the rest", _directory),
        ("clear", "forget everything in a store", _directory),
        ("replay", "tell how much of a trace of accesses a memory tier finds, or two tiers, beside an LRU", _replay),
    ):
        action = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        fill(action)
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Reads, metavar="DIR", help="a directory that `tiercel.cache.Store` wrote")


def _replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace",
        type=Reads,
        metavar="TRACE",
        help="keys that were asked for; the name ends in .trace, .lis, .oracleGeneral.bin or .txt, perhaps with .xz or .zst",
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=int,
        required=True,
        nargs="+",
        help="keys that there is room for, or bytes if the trace tells sizes; several are tried one after the other",
    )
    parser.add_argument(
        "--below",
        metavar="N",
        type=int,
        help="a store for so many keys below the memory; the LRU of both is as large as the store",
    )
