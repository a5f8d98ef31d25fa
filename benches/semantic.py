"""Measure the semantic cache: the time to find a near query, the share of certified answers, and
their correctness.

python benches/semantic.py [--data DIR] [--model DIR] [--queries N] [--cached N] [--json FILE]
[--plot FILE]

Every answer is compared with an exact search, ids and distances; where ids differ, in double
precision. Queries are moved in random directions and, with `--model`, the folder of
all-MiniLM-L6-v2, asked again with words left out; `minilm.py` explains how to get it.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from left_out import DROPS, reworded
from numpy.typing import NDArray
from workload import unit

import tiercel
from tiercel.semantic.entry_index import Entry, EntryIndex

WORDNET = Path(__file__).resolve().parents[2] / "shared" / "data" / "wordnet"
K = 10
NOISES = (0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3)
KEEPS = (50, 200, 1000)

Vectors = NDArray[np.float32]


def moved(queries: Vectors, noise: float, seed: int) -> Vectors:
    """Move queries in a random direction, by a share of their length."""
    steps = np.random.default_rng(seed).standard_normal(queries.shape)
    steps *= noise * np.linalg.norm(queries, axis=1, keepdims=True) / np.linalg.norm(steps, axis=1, keepdims=True)
    return (queries + steps).astype(np.float32)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def microseconds(seconds: list[float]) -> dict[str, float]:
    return {f"p{q}": float(np.percentile(seconds, q)) * 1e6 for q in (50, 99)}


def truth(index: tiercel.Index, queries: Vectors) -> list[tuple[list[int], Vectors]]:
    """Return the ten nearest of each query, from one exact search of the whole batch."""
    found = index.search(queries, K, recall=1)
    return [(ids.tolist(), near) for ids, near in zip(found.ids, found.distances, strict=True)]


def is_right(matches: tiercel.Matches, true: tuple[list[int], Vectors], query: Vectors, vectors: Vectors) -> bool:
    """Whether an answer has the true distances. Where ids differ, they must be equal up to
    rounding, in double precision.
    """
    ids, near = true
    if matches.ids.tolist() == ids:
        return bool(np.allclose(matches.distances, near, rtol=1e-4, atol=1e-6))
    exact = 1 - vectors[np.concatenate([matches.ids.astype(int), ids])].astype(np.float64) @ query / np.linalg.norm(
        query
    )
    return bool(np.abs(np.sort(exact[:K]) - np.sort(exact[K:])).max() < 1e-6)


def lookups(queries: Vectors, vectors: Vectors, cached: int) -> dict[str, Any]:
    """Time finding the nearest of many cached queries, which are unit vectors of the data."""
    # Room for a third more, because two thirds are old by then, as in a cache filled for long.
    entry_index: EntryIndex[None] = EntryIndex(vectors.shape[1], "cosine", 4 * cached // 3, 1 << 40)
    many = moved(vectors[np.arange(cached) % len(vectors)], 0.3, 9)
    _, seconds = timed(lambda: [entry_index.put("", Entry(row, None, None, 0)) for row in many])
    chosen = np.linspace(0, cached - 1, len(queries)).astype(int)
    right, times = 0, []
    for at, query in zip(chosen, moved(many[chosen], 0.05, 8), strict=True):
        nearest, took = timed(lambda query=query: entry_index.nearest("", query))
        right += any(np.array_equal(entry.query, many[at]) for _, entry in nearest)
        times.append(took)
    return {"cached": cached, **microseconds(times), "found": right / len(chosen), "put": seconds / cached * 1e6}


def shares(index: tiercel.Index, queries: Vectors, vectors: Vectors) -> Iterator[dict[str, Any]]:
    """Yield the share of near queries that are certified, by distance and number kept."""
    for keep in KEEPS:
        cache = tiercel.SemanticCache(index, keep=keep, entries=10 * len(queries))
        for query in queries:
            cache.search(query, K)
        for noise in NOISES:
            near = moved(queries, noise, int(noise * 1000))
            true = truth(index, near)
            certified = wrong = 0
            for at, query in enumerate(near):
                matches = cache.search(query, K, user="")
                if matches.quality == "certified":
                    certified += 1
                    wrong += not is_right(matches, true[at], query, vectors)
            yield {"keep": keep, "noise": noise, "share": certified / len(near), "wrong": wrong}


def follow_ups(index: tiercel.Index, queries: Vectors, vectors: Vectors, noise: float) -> dict[str, Any]:
    """Ask each query, and five more near it, as the follow-ups of a conversation would."""
    cache = tiercel.SemanticCache(index, keep=200, entries=10 * len(queries))
    counts: dict[str, int] = {}
    times: dict[str, list[float]] = {"certified": [], "exact": [], "search": []}
    wrong = 0
    for query in queries:
        cache.search(query, K)
    for round_ in range(5):
        near = moved(queries, noise, 100 + round_)
        true = truth(index, near)
        for at, query in enumerate(near):
            matches, took = timed(lambda query=query: cache.search(query, K))
            counts[matches.quality] = counts.get(matches.quality, 0) + 1
            times[matches.quality].append(took)
            wrong += not is_right(matches, true[at], query, vectors)
        for query in near[:40]:
            times["search"].append(timed(lambda query=query: index.search(query, K, recall=1))[1])
    search, certified = microseconds(times["search"]), microseconds(times["certified"])
    return {
        "noise": noise,
        "asked": 5 * len(queries),
        "certified": counts.get("certified", 0) / (5 * len(queries)),
        "wrong": wrong,
        "certified_p50": certified["p50"],
        "certified_p99": certified["p99"],
        "miss_p50": microseconds(times["exact"])["p50"] if times["exact"] else None,
        "search_p50": search["p50"],
        "faster": search["p50"] / certified["p50"],
    }


def approximate(index: tiercel.Index, queries: Vectors) -> dict[str, Any]:
    """With a target error: near queries of all distances until and after a threshold is learned."""
    cache = tiercel.SemanticCache(index, keep=200, entries=10 * len(queries), max_error=0.02)
    for query in queries:
        cache.search(query, K)
    rng = np.random.default_rng(6)
    given = wrong = 0
    for round_ in range(4):
        near = moved(queries, float(rng.choice(NOISES[3:])), round_)
        true = truth(index, near)
        for at, query in enumerate(near):
            matches = cache.search(query, K)
            if matches.quality == "approximate":
                given += 1
                wrong += float(matches.distances[-1]) > float(true[at][1][-1]) + 1e-6
    stats = cache.stats()
    return {
        "given": given,
        "wrong": wrong / max(1, given),
        "threshold": stats["thresholds"][""]["k <= 16"],
        "stats": stats,
    }


def words_left_out(
    index: tiercel.Index, queries: Vectors, again: dict[str, Vectors], vectors: Vectors
) -> Iterator[dict[str, Any]]:
    """Yield how many queries with words left out are certified, and how many have nine of their
    true ten in the list of the whole query.
    """
    truths = {what: truth(index, near) for what, near in again.items()}
    for keep in KEEPS:
        # One user per query, so that its own list answers it; the threshold accepts everything.
        cache = tiercel.SemanticCache(index, keep=keep, entries=10 * len(queries), threshold=2.0, audit=0.0)
        for at, query in enumerate(queries):
            cache.search(query, K, user=str(at))
        for what, near in again.items():
            certified = wrong = close = 0
            for at, (query, true) in enumerate(zip(near, truths[what], strict=True)):
                matches = cache.search(query, K, user=str(at))
                close += len(set(matches.ids.tolist()) & set(true[0])) >= K - 1
                if matches.quality == "certified":
                    certified += 1
                    wrong += not is_right(matches, true, query, vectors)
            yield {
                "dropped": what,
                "keep": keep,
                "moved_p50": float(np.median(np.linalg.norm(near - queries, axis=1))),
                "share": certified / len(near),
                "wrong": wrong,
                "nine_of_ten": close / len(near),
            }


def table(headings: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(headings) + " |", "|" + "---|" * len(headings), sep="\n")
    print(*("| " + " | ".join(row) + " |" for row in rows), sep="\n", end="\n\n")


def show(results: dict[str, Any]) -> None:
    found = results["lookup"]
    print(
        f"Lookup among {found['cached']:,} cached queries: p50 {found['p50']:.0f} µs, p99 {found['p99']:.0f} µs, "
        f"the near one found {found['found']:.1%}; a put {found['put']:.0f} µs\n"
    )
    by = {(row["keep"], row["noise"]): row for row in results["shares"]}
    table(
        ["distance of the query", *(f"certified of {keep} kept" for keep in KEEPS), "wrong"],
        [
            [
                f"{noise:g}",
                *(f"{by[keep, noise]['share']:.1%}" for keep in KEEPS),
                str(sum(by[keep, noise]["wrong"] for keep in KEEPS)),
            ]
            for noise in NOISES
        ],
    )
    table(
        ["distance", "asked", "certified", "wrong", "certified p50, µs", "p99", "exact search p50", "times faster"],
        [
            [
                f"{row['noise']:g}", f"{row['asked']:,}", f"{row['certified']:.1%}", str(row["wrong"]), f"{row['certified_p50']:.0f}",
                f"{row['certified_p99']:.0f}", f"{row['search_p50']:,.0f}", f"{row['faster']:.0f}",
            ]
            for row in results["follow_ups"]
        ],
    )  # fmt: skip
    row = results["approximate"]
    print(
        f"max_error=0.02: {row['given']:,} approximate answers, {row['wrong']:.2%} not the true ten; threshold {row['threshold']:.4f}\n"
    )
    if "words" in results:
        show_words(results["words"])


def show_words(rows: list[dict[str, Any]]) -> None:
    by = {(row["keep"], row["dropped"]): row for row in rows}
    table(
        [
            "left out",
            "distance p50",
            *(f"certified of {keep} kept" for keep in KEEPS),
            "wrong",
            *(f"nine of ten right, of {keep} kept" for keep in KEEPS),
        ],
        [
            [
                what,
                f"{by[KEEPS[0], what]['moved_p50']:.2f}",
                *(f"{by[keep, what]['share']:.1%}" for keep in KEEPS),
                str(sum(by[keep, what]["wrong"] for keep in KEEPS)),
                *(f"{by[keep, what]['nine_of_ten']:.1%}" for keep in KEEPS),
            ]
            for what in DROPS
        ],
    )


def plot(results: dict[str, Any], path: Path) -> None:
    """Plot the certified share over distance, one line for each number kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for keep in KEEPS:
        rows = [row for row in results["shares"] if row["keep"] == keep]
        axes.plot(
            [row["noise"] for row in rows], [100 * row["share"] for row in rows], marker="o", label=f"{keep:,} kept"
        )
    axes.set(
        xlabel="distance of the query from the earlier one, as a share of its length",
        ylabel="certified, %",
        ylim=(-2, 102),
        xlim=0,
    )
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the semantic cache.")
    parser.add_argument("--data", type=Path, default=WORDNET, help="directory of base.f16.npy and queries.f16.npy")
    parser.add_argument("--model", type=Path, help="folder of all-MiniLM-L6-v2: also ask with words left out")
    parser.add_argument("--queries", type=int, default=2000, help="queries that are asked")
    parser.add_argument("--share-queries", type=int, default=500, help="queries for the table of shares")
    parser.add_argument("--count", type=int, help="use only the first COUNT vectors")
    parser.add_argument("--cached", type=int, default=100_000, help="queries among which near ones are looked up")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="file for a plot of certified share over distance; needs matplotlib")
    parser.add_argument("--from-json", type=Path, help="show figures from an earlier run")
    given = parser.parse_args()
    if given.from_json:
        results = json.loads(given.from_json.read_text())
    else:
        vectors = unit(np.load(given.data / "base.f16.npy")[: given.count])
        queries = unit(np.load(given.data / "queries.f16.npy")[: given.queries])
        # Do this first, since a wrong model is refused.
        again = reworded(given.model, given.data, queries) if given.model else None
        index = tiercel.Index(vectors.shape[1], storage="raw", m=4, ef_construction=10)
        for some in np.array_split(vectors, max(1, len(vectors) // 8000)):
            index.add(some)
        results = {
            "vectors": len(vectors),
            "lookup": lookups(queries, vectors, given.cached),
            "shares": list(shares(index, queries[: given.share_queries], vectors)),
            "follow_ups": [follow_ups(index, queries, vectors, noise) for noise in (0.05, 0.1)],
            "approximate": approximate(index, queries),
        }
        if again:
            results["words"] = list(words_left_out(index, queries, again, vectors))
    show(results)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    if given.plot:
        plot(results, given.plot)


if __name__ == "__main__":
    main()
