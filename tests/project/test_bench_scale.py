"""Benchmarks of growing indexes measure at the true recall, and their pictures are drawn."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support.places import ROOT

import tiercel

BENCH = ROOT / "benches"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not part of a source distribution")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the modules of the benchmarks importable."""
    monkeypatch.syspath_prepend(BENCH)


def run(script: str, *words: object) -> str:
    command = [sys.executable, str(BENCH / script), *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_the_truth_of_every_size_is_the_exact_result(tmp_path: Path, bench: None, metric: str) -> None:
    truth = importlib.import_module("ground_truth")
    rng = np.random.default_rng(3)
    base, queries = (rng.standard_normal((count, 8)).astype(np.float16) for count in (truth.PIECE + 700, 20))
    # More than ten rows are equally near; they are long, so under dot as well.
    base[5::1000] = 4 * base[5]
    queries[0] = base[5]
    path = tmp_path / "base.npy"
    np.save(path, base)
    queries = queries.astype(np.float32)
    sizes = [len(base), 12, truth.PIECE, 1000]
    right = truth.true_nearest(path, queries, metric, sizes, None)
    assert sorted(right) == sorted(sizes)
    for size in sizes:
        index = tiercel.Index(8, metric, storage="raw", m=2, ef_construction=2)
        index.add(base[:size].astype(np.float32))
        assert truth.recall(index.search(queries[1:], 10, recall=1).ids, right[size][1:]) == 1
    twins = {*right[len(base)][0].tolist()} - {truth.NO_ID}
    assert twins == {*range(5, len(base), 1000)}


def test_recall_counts_each_right_id_once(bench: None) -> None:
    truth = importlib.import_module("ground_truth")
    right = np.full((1, truth.CANDIDATES), truth.NO_ID)
    right[0, :11] = np.arange(11)
    assert truth.recall(np.arange(1, 11)[None], right) == 1
    assert truth.recall(np.array([[0, 0, 0, 0, 0, 50, 51, 52, 53, 54]]), right) == pytest.approx(0.1)
    # The padding of results that a filter left short.
    assert truth.recall(np.full((1, 10), 2**64 - 1, np.uint64), right) == 0


def test_the_smallest_sufficient_effort_is_found(bench: None) -> None:
    workload = importlib.import_module("workload")

    def search(needed: int) -> int | None:
        return workload.smallest_ef_search(lambda ef_search: float(ef_search >= needed), 1.0)

    for needed in range(1, 100):
        assert search(needed) == max(needed, 10)
    for needed in (150, 407, 999, 2000):
        assert needed <= search(needed) <= needed * 1.01 + 1
    assert search(2001) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports resident memory")
def test_sizes_are_measured_at_the_recall_and_drawn(tmp_path: Path) -> None:
    sample = tiercel.datasets.load_wordnet_sample()
    np.save(tmp_path / "base.f16.npy", sample.vectors[:2000].astype(np.float16))
    np.save(tmp_path / "queries.f16.npy", sample.queries[:30].astype(np.float16))
    results, picture = tmp_path / "scale.jsonl", tmp_path / "scale.png"
    common = ["--data", tmp_path, "--queries", 20, "--out", results]
    run("scale.py", *common, "--sizes", 1500, 500, "--metric", "dot")
    printed = run("scale.py", *common, "--set", "storage=raw", "m=4")
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["vectors"] for row in rows] == [500, 1500, 2000]
    assert [row["storage"] == "raw" for row in rows] == [False, False, True]
    assert rows[2]["settings"] == {"storage": "raw", "m": 4}
    for row in rows:
        assert row["recall"] >= row["target"] == 0.95
        assert 0 < row["p50_us"] <= row["p95_us"] <= row["p99_us"]
        assert row["peak_bytes"] >= row["resident_bytes"] > 0
    assert "2,000" in printed
    assert run("scale.py", "--from", results, "--plot", picture).count("\n") == 5
    assert picture.stat().st_size > 0


@pytest.mark.parametrize("size", [9, 21])
def test_a_size_that_cannot_be_measured_is_refused(
    tmp_path: Path, bench: None, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    np.save(tmp_path / "base.f16.npy", np.ones((20, 4), np.float16))
    np.save(tmp_path / "queries.f16.npy", np.ones((2, 4), np.float16))
    scale = importlib.import_module("scale")
    monkeypatch.setattr(sys, "argv", ["scale.py", "--data", str(tmp_path), "--sizes", "15", str(size)])
    with pytest.raises(SystemExit, match=rf"--sizes: expected 10 to 20, .*, got {size}"):
        scale.main()


def test_the_front_has_the_points_that_no_other_beats(bench: None) -> None:
    front: ModuleType = importlib.import_module("front")
    points = [(0.9, 100.0), (0.95, 120.0), (0.97, 80.0), (0.97, 90.0), (0.99, 10.0), (0.98, 5.0)]
    assert front.front(points) == [(0.95, 120.0), (0.97, 90.0), (0.99, 10.0)]


def test_fronts_of_engines_are_drawn(tmp_path: Path, bench: None) -> None:
    rows = [
        {"engine": engine, "setting": 10, "recall": recall, "qps": qps, "calls": calls}
        for engine, qps, recall, calls in [("tiercel", 9e4, 0.9, False), ("a", 1e3, 0.99, False), ("a", 5.0, 0.9, True)]
    ]
    results, picture = tmp_path / "results.jsonl", tmp_path / "front.svg"
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    front = importlib.import_module("front")
    assert front.read(results, calls=False) == {"tiercel": [(0.9, 9e4)], "a": [(0.99, 1e3)]}
    assert front.read(results, calls=True) == {"a": [(0.9, 5.0)]}
    run("front.py", "--plot", picture, f"Texts={results}", f"Again={results}")
    assert picture.read_text().count("</svg>") == 1
