"""Measure collections: the rows of docs/benchmarks/collections.md, and other stores for comparison.

python benches/collections rows                 all figures about collections
python benches/collections peers                the same data in other installed stores
python benches/collections million --data DIR   what a collection of many vectors costs
python benches/collections report JSON ...      a page of these figures, and its tables in docs/benchmarks/collections.md
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import many
import million
import report
import stores
from bench import Bench
from data import Documents, load
from keeping import disk, memory, opening
from measure import HEADINGS, as_rows, machine
from searching import filtered, hybrid, text, vector
from writing import batch, burst, single

WORDNET = Path(__file__).resolve().parents[3] / "shared" / "data" / "wordnet"

ROWS = {
    "batch": batch,
    "single": single,
    "burst": burst,
    "vector": vector,
    "filtered": filtered,
    "text": text,
    "hybrid": hybrid,
    "opening": opening,
    "disk": disk,
    "memory": memory,
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benches/collections", description="Measure collections.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, about, names in (
        ("rows", "all figures about collections", ROWS),
        ("peers", "the same data in other stores", stores.STORES),
    ):
        sub = commands.add_parser(command, help=about)
        sub.add_argument(
            "--data",
            type=Path,
            metavar="DIR",
            default=WORDNET if WORDNET.exists() else None,
            help="documents, queries and their vectors; without one, the sample included in tiercel",
        )
        sub.add_argument("--sample", action="store_true", help="use the sample even if there is a DIR")
        sub.add_argument("--count", type=int, metavar="N", help="take N documents only")
        sub.add_argument("--times", type=int, metavar="N", default=1, help="use N copies of each document")
        sub.add_argument("--queries", type=int, metavar="N", default=2000 if command == "rows" else 300)
        if command == "rows":
            sub.add_argument("--tail", type=int, metavar="MIB", default=64, help="vectors written before the kill")
        sub.add_argument("--only", nargs="+", choices=list(names), metavar="NAME", help=", ".join(names))
        sub.add_argument("--directory", type=Path, metavar="DIR", help="where to write; its disk is measured")
        sub.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    about = "what a collection of many vectors costs"
    large = commands.add_parser("million", help=about, description=f"Measure {about}.")
    large.add_argument(
        "--data",
        type=million.directory,
        metavar="DIR",
        required=True,
        help=f"has {million.BASE} and {million.QUERIES}; `benches/datasets.py scaled` makes a million",
    )
    large.add_argument(
        "--count", type=million.count, metavar="N", help="take N vectors only; targets are for a million"
    )
    large.add_argument(
        "--queries", type=million.count, default=300, metavar="N", help="queries of each figure (default: 300)"
    )
    large.add_argument("--directory", type=Path, metavar="DIR", help="where to write")
    large.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    page = commands.add_parser("report", help="make a page of the measurements")
    page.add_argument("results", type=Path, nargs="+", metavar="JSON")
    page.add_argument("--to", type=Path, metavar="DIR", default=Path(__file__).parents[1] / "results")
    page.add_argument("--into", type=Path, metavar="FILE", help="a document whose marked lines the tables replace")
    return parser


def about(documents: Documents) -> dict[str, Any]:
    count, dim = documents.vectors.shape
    return {"name": documents.name, "records": count, "dim": dim}


def measure(args: argparse.Namespace) -> None:
    data = None if args.sample else args.data
    documents = load(data, args.count, args.times)
    options = [str(data or ""), str(args.count or ""), str(args.times)]
    names = args.only or list(ROWS if args.command == "rows" else stores.STORES)
    with tempfile.TemporaryDirectory(prefix="tiercel-bench-", dir=args.directory) as name:
        directory = Path(name)
        if args.command == "rows":
            bench = Bench(documents, options, directory, args.queries, args.tail << 20)
            figures = [figure for name in names for figure in ROWS[name](bench)]
            headings, lines, rows = HEADINGS, [figure.cells() for figure in figures], as_rows(figures)
        else:
            rows = stores.measure(names, options, directory, args.queries)
            headings, lines = stores.HEADINGS, [stores.cells(row) for row in rows]
    print("\n".join(report.table(headings, lines)))
    if args.json is not None:
        run = {
            "kind": args.command,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(["numpy", "tiercel", *stores.PACKAGES]),
            "data": about(documents),
            "rows": rows,
        }
        args.json.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def measure_many(args: argparse.Namespace) -> None:
    vectors = million.Many.load(args.data, args.count, args.queries)
    with tempfile.TemporaryDirectory(prefix="tiercel-bench-", dir=args.directory) as name:
        figures = list(many.rows(vectors, Path(name)))
    print(f"{len(vectors):,} records of {vectors.queries.shape[1]} values\n")
    print("\n".join(report.table(HEADINGS, [figure.cells() for figure in figures])))
    if args.json is not None:
        run = {
            "kind": "million",
            "machine": machine(["numpy", "tiercel"]),
            "records": len(vectors),
            "rows": as_rows(figures),
        }
        args.json.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    args = parser().parse_args()
    if args.command == "report":
        report.write([json.loads(path.read_text(encoding="utf-8")) for path in args.results], args.to, args.into)
    elif args.command == "million":
        measure_many(args)
    else:
        measure(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
