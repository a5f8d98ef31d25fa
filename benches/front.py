"""Draw recall and throughput of several engines, from the results of a comparison.

python benches/front.py --plot FILE [--calls] [--least R] NAME=RESULTS.jsonl ...

Each file has the rows of one data set and gets a panel with its NAME. A row is a line of JSON with
`engine`, `recall`, `qps`, and `calls`: whether the engine was asked one query per call. Of each
engine the front is drawn: the points than which no other of the same engine is both faster and
finds more.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tiercel.cli.plot import check_plot

Point = tuple[float, float]
"""Recall and queries per second."""
Panel = tuple[str, dict[str, list[Point]]]
"""The name of a data set, and the front of each engine."""

MARKERS = "osD^vPX*<>hp"
COLORS = [*(f"C{number}" for number in range(10)), "black", "tomato"]


def front(points: list[Point]) -> list[Point]:
    """Return the best points, by recall."""
    best: list[Point] = []
    for recall, qps in sorted(points, reverse=True):
        if not best or qps > best[-1][1]:
            best.append((recall, qps))
    return best[::-1]


def read(path: Path, calls: bool) -> dict[str, list[Point]]:
    """Return the front of each engine, in the order of the file."""
    points: dict[str, list[Point]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["calls"] == calls:
            points.setdefault(row["engine"], []).append((row["recall"], row["qps"]))
    return {engine: front(those) for engine, those in points.items()}


def draw(panels: list[Panel], path: Path, least: float) -> None:
    """Draw a panel for each data set. An engine looks the same in all of them."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    engines = dict.fromkeys(engine for _, fronts in panels for engine in fronts)
    looks = {engine: look(number, engine) for number, engine in enumerate(engines)}
    figure = Figure(figsize=(5.5 * len(panels) + 1.5, 5), layout="constrained")
    shown: dict[str, Any] = {}
    for axes, (name, fronts) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for engine, points in fronts.items():
            seen = [point for point in points if point[0] >= least]
            if seen:
                shown[engine] = axes.plot(*zip(*seen, strict=True), **looks[engine], label=engine)[0]
        # Room for the markers of the last points.
        axes.set(title=name, xlabel="recall@10", yscale="log", xlim=(least, 1 + (1 - least) / 40))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.25)
    figure.axes[0].set_ylabel("queries per second")
    legend = [shown[engine] for engine in engines if engine in shown]
    figure.legend(handles=legend, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def look(number: int, engine: str) -> dict[str, Any]:
    """Return the color and marker of an engine; those of tiercel stand out."""
    ours = engine.startswith("tiercel")
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 6 if ours else 4,
        "linewidth": 2.5 if ours else 1.2,
        "zorder": 3 if ours else 2,
    }


def named(text: str) -> tuple[str, Path]:
    """Read NAME=RESULTS.jsonl."""
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=RESULTS.jsonl, got {text!r}")
    return name, Path(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw recall and throughput of several engines.")
    parser.add_argument("results", type=named, nargs="+", metavar="NAME=RESULTS.jsonl", help="rows of a data set")
    parser.add_argument("--plot", type=Path, required=True, metavar="FILE", help="picture to write; needs matplotlib")
    parser.add_argument("--calls", action="store_true", help="take the rows of one query per call, not of batches")
    parser.add_argument("--least", type=float, default=0.8, metavar="R", help="smallest recall to show (default: 0.8)")
    given = parser.parse_args()
    check_plot(str(given.plot))
    panels = [(name, read(path, given.calls)) for name, path in given.results]
    if not any(fronts for _, fronts in panels):
        parser.error(f"no rows {'of one query per call' if given.calls else 'of batches'} in these files")
    draw(panels, given.plot, given.least)


if __name__ == "__main__":
    main()
