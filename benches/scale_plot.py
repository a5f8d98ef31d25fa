"""Draw what `scale.py` measured: latency and memory over the number of vectors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
PERCENTILES = {"p50_us": "-", "p95_us": "--", "p99_us": ":"}
"""The style of each line."""


def draw(rows: list[Row], path: Path) -> None:
    """Draw two panels; each group of settings has its color."""
    from matplotlib.figure import Figure

    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["vectors"]):
        groups.setdefault(label(row), []).append(row)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    latency, memory = figure.subplots(1, 2)
    for number, (name, group) in enumerate(groups.items()):
        draw_latency(latency, [row for row in group if row.get("qps")], f"C{number}", name)
        draw_memory(memory, group, f"C{number}", name)
    sizes = sorted({row["vectors"] for row in rows})
    targets = " and ".join(sorted({f"{row['target']:g}" for row in rows}))
    latency.set(ylabel="one call on one thread, µs", title=f"Latency at recall@10 {targets}", ylim=0)
    memory.set(ylabel="bytes per vector", title="Memory", ylim=0)
    for axes in (latency, memory):
        axes.set(xscale="log", xlabel="vectors")
        axes.set_xticks(sizes, [short(size) for size in sizes], minor=False)
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def label(row: Row) -> str:
    """Return what tells one group of rows from another."""
    return " ".join(f"{name}={value}" for name, value in row["settings"].items()) or "defaults"


def draw_latency(axes: Any, rows: list[Row], color: str, name: str) -> None:
    for percentile, style in PERCENTILES.items():
        line(axes, rows, lambda row, percentile=percentile: row[percentile], style, color, f"{name}, {percentile[:3]}")


def draw_memory(axes: Any, rows: list[Row], color: str, name: str) -> None:
    line(axes, rows, lambda row: row["resident_bytes"] / row["vectors"], "-", color, f"{name}, resident")
    line(axes, rows, lambda row: row["bytes_per_vector"], "--", color, f"{name}, beside full vectors")


def line(axes: Any, rows: list[Row], value: Callable[[Row], float], style: str, color: str, name: str) -> None:
    xs, ys = [row["vectors"] for row in rows], [value(row) for row in rows]
    axes.plot(xs, ys, style, color=color, marker="o", markersize=4, label=name)


def short(count: int) -> str:
    """Return a number of vectors as a tick shows it: 10k, 3M."""
    return f"{count / 1e6:g}M" if count >= 1e6 else f"{count / 1e3:g}k"
