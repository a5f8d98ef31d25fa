"""What measures goes on measuring: each row once, on a few documents."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "benches" / "collections"


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not part of a source distribution")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what is resident")
def test_every_row_of_collections_is_measured(tmp_path: Path) -> None:
    results, document = tmp_path / "rows.json", tmp_path / "document.md"
    sizes = ["--sample", "--count", "1000", "--queries", "20", "--tail", "1"]
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
