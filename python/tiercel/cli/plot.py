"""The curve of `tiercel bench` as a picture; needs matplotlib, which the extra `plot` installs."""
# matplotlib leaves parts of its signatures untyped.
# pyright: reportUnknownMemberType=false

from pathlib import Path

from tiercel.cli.outputs import new_file
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

_SUFFIXES = (".png", ".svg", ".pdf")
# Pixels that a label takes.
_WIDE, _HIGH = 30, 16


def check_plot(path: str) -> None:
    """Refuse a picture that cannot be drawn, before any work is done."""
    needed("matplotlib", "tiercel[plot]")
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise InvalidInputError(f"--plot: expected a name that ends in {', '.join(_SUFFIXES)}, got {path}")


def plot_curve(path: str, curve: list[dict[str, float]], title: str) -> None:
    """Draw queries per second over recall, and label the points with their ef_search."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    recalls, speeds = [row["recall"] for row in curve], [row["qps"] for row in curve]
    axes.plot(recalls, speeds, marker="o")
    axes.set(xlabel="recall (beside each point: ef_search)", ylabel="queries per second", title=title)
    if max(speeds) > 4 * min(speeds):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    # matplotlib leaves room beyond the points, where recall would exceed 1.
    axes.set_xlim(right=min(axes.get_xlim()[1], 1 + (1 - axes.get_xlim()[0]) / 20))
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.draw_without_rendering()
    labelled: list[tuple[float, float]] = []
    for row in curve:
        x, y = axes.transData.transform((row["recall"], row["qps"]))
        # A label that would cover another one is left out.
        if all(abs(x - other_x) > _WIDE or abs(y - other_y) > _HIGH for other_x, other_y in labelled):
            labelled.append((x, y))
            place = (row["recall"], row["qps"])
            axes.annotate(f"{row['ef_search']:.0f}", place, textcoords="offset points", xytext=(5, 5), fontsize=8)
    with new_file(path) as file:
        figure.savefig(file, format=Path(path).suffix.lower().removeprefix("."), dpi=120)
