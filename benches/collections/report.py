"""Make a page of the measurements, and put its tables into a document."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import stores
from measure import HEADINGS, Figure

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Run = dict[str, Any]


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table with aligned columns."""
    rows = [list(headings), *(list(line) for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(headings))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [padded[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *padded[1:]]


def tables(runs: Iterable[Run]) -> list[str]:
    """Return the figures of all runs, with the data and machine of each."""
    lines: list[str] = []
    for run in runs:
        data = run["data"]
        lines += [
            f"{data['records']:,} records of {data['name']}, vectors of {data['dim']} values. {machine(run)}.",
            "",
        ]
        if run["kind"] == "rows":
            lines += table(HEADINGS, [Figure(**row).cells() for row in run["rows"]])
        else:
            lines += table(stores.HEADINGS, [stores.cells(row) for row in run["rows"]])
            lines += ["", *(f"- {row['name']} {row['version']}: {row['about']}" for row in run["rows"])]
        lines.append("")
    return lines[:-1]


def machine(run: Run) -> str:
    about = run["machine"]
    cores = about["hardware"]["cores"]
    return f"{about['cpu']}, {cores} core{'' if cores == 1 else 's'}, {about['hardware']['simd']}"


def page(runs: Sequence[Run]) -> str:
    first = runs[0]
    packages = {name: version for run in runs for name, version in run["machine"]["packages"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    head = [
        f"# Collections: {machine(first)}, {first['date']}",
        "",
        f"{first['machine']['system']}, Python {first['machine']['python']}, {versions}.",
        "What is measured and how to read it: [benchmarks](../../docs/benchmarks/benchmarks.md#collections).",
        "",
    ]
    return "\n".join([*head, *tables(runs)]) + "\n"


def write(runs: Sequence[Run], directory: Path, into: Path | None) -> None:
    """Write the page and the figures beside it, and the tables into a document."""
    name = re.sub(r"[^a-z0-9]+", "-", machine(runs[0]).lower()).strip("-")
    path = directory / f"{runs[0]['date']}-collections-{name}.md"
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(page(runs), encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    print(path)
    if into is not None:
        before, _, rest = into.read_text(encoding="utf-8").partition(BEGIN)
        _, there, after = rest.partition(END)
        if not there:
            raise SystemExit(f"{into}: expected the lines {BEGIN} and {END}")
        into.write_text("\n".join([before + BEGIN, "", *tables(runs), "", END]) + after, encoding="utf-8")
        print(into)
