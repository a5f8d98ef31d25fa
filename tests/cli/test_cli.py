"""The command line: the output and exit codes of each command; bad input is one line on stderr."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import Run, document, start

import tiercel
from tiercel.cli import measure


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty directory, with short measurements; return exit code and output."""
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    return run


@pytest.fixture
def files(tmp_path: Path) -> dict[str, np.ndarray]:
    """Write `vectors.npy`, `queries.npy` and `ids.npy` into the directory that `run` works in."""
    rng = np.random.default_rng(0)
    arrays = {
        "vectors": rng.normal(size=(300, 12)).astype(np.float32),
        "queries": rng.normal(size=(7, 12)),
        "ids": np.arange(300) * 3 + 5,
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return arrays


def exact_ids(files: dict[str, np.ndarray], k: int) -> np.ndarray:
    squares = ((files["queries"][:, None] - files["vectors"][None].astype(np.float64)) ** 2).sum(axis=2)
    return files["ids"][np.argsort(squares, axis=1)[:, :k]]


def test_info_tells_version_and_hardware(run: Run) -> None:
    found = document(run("info", "--json"))
    assert found["version"] == tiercel.__version__
    assert found["hardware"] == tiercel.hardware().to_dict() | {
        "memory_available": found["hardware"]["memory_available"]
    }
    code, out, _ = run("info")
    assert code == 0
    assert f"tiercel      {tiercel.__version__}" in out
    assert tiercel.hardware().simd in out


def test_build_then_search_finds_the_nearest(run: Run, files: dict[str, np.ndarray]) -> None:
    built = document(run("build", "vectors.npy", "-o", "v.tiercel", "--metric", "l2", "--ids", "ids.npy", "--json"))
    assert (built["stats"]["len"], built["dim"], built["metric"]) == (300, 12, "l2")
    assert built["file_bytes"] == Path("v.tiercel").stat().st_size
    found = document(run("search", "v.tiercel", "queries.npy", "-k", "4", "--recall", "1", "--json"))
    assert found["quality"] == "exact"
    assert [row["ids"] for row in found["results"]] == exact_ids(files, 4).tolist()
    described = document(run("info", "v.tiercel", "--json"))["index"]
    assert described == {key: value for key, value in built.items() if key != "seconds"}


def test_search_prints_a_line_a_result(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel", "--metric", "l2", "--ids", "ids.npy")
    code, out, err = run("search", "v.tiercel", "queries.npy", "-k", "2", "--ef-search", "300")
    lines = out.splitlines()
    assert (code, err, lines[0]) == (0, "", "query\trank\tid\tdistance")
    assert [line.split("\t")[:3] for line in lines[1:]] == [
        [str(query), str(rank), str(found)]
        for query, row in enumerate(exact_ids(files, 2))
        for rank, found in enumerate(row, start=1)
    ]


def test_search_writes_arrays(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel")
    code, out, _ = run("search", "v.tiercel", "queries.npy", "-k", "3", "--recall", "1", "-o", "found")
    assert code == 0
    assert "exact" in out
    index = tiercel.Index.load("v.tiercel")
    expected = index.search(files["queries"], 3, recall=1)
    with np.load("found") as found:
        assert (found["ids"] == expected.ids).all()
        assert (found["distances"] == expected.distances).all()
        assert found["counts"].tolist() == [3] * 7
    assert sorted(path.name for path in Path.cwd().iterdir()) == [
        "found",
        "ids.npy",
        "queries.npy",
        "v.tiercel",
        "vectors.npy",
    ]


def test_search_takes_one_query_and_none(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel")
    np.save("one.npy", files["queries"][0])
    np.save("none.npy", files["queries"][:0])
    assert len(document(run("search", "v.tiercel", "one.npy", "--json"))["results"]) == 1
    assert document(run("search", "v.tiercel", "none.npy", "--json"))["results"] == []


def test_a_distance_beyond_float32_is_null_in_json(run: Run) -> None:
    np.save("far.npy", np.full((2, 4), 3e38, np.float32))
    np.save("back.npy", np.full((1, 4), -3e38, np.float32))
    run("build", "far.npy", "-o", "far.tiercel", "--metric", "l2")
    found = document(run("search", "far.tiercel", "back.npy", "--recall", "1", "--json"))
    assert all(distance is None for row in found["results"] for distance in row["distances"])


def test_vectors_may_stay_on_disk(run: Run, files: dict[str, np.ndarray]) -> None:
    build = ("build", "vectors.npy", "-o", "v.tiercel", "--metric", "l2", "--ids", "ids.npy", "--kind", "flat")
    assert document(run(*build, "--raw", "disk", "--memory", "1MB", "--json"))["stats"]["disk_bytes"] == 300 * 48
    search = ("search", "v.tiercel", "queries.npy", "-k", "4", "--raw", "disk")
    found = document(run(*search, "--rerank", "none", "--recall", "1", "--json"))
    assert [row["ids"] for row in found["results"]] == exact_ids(files, 4).tolist()
    code, _, err = run(*build, "--memory", "much")
    assert code == 2
    assert "memory: expected None, a number of bytes, or a string such as '2GB' (kB, MB" in err


def test_a_large_index_may_have_lists(run: Run) -> None:
    np.save("many.npy", np.random.default_rng(0).normal(size=(8300, 4)).astype(np.float32))
    run("build", "many.npy", "-o", "many.tiercel", "--kind", "ivf")
    lists = document(run("info", "many.tiercel", "--json"))["index"]["stats"]["lists"]
    assert lists > 100
    assert f"search       {lists} lists; codes " in run("info", "many.tiercel")[1]


def test_building_again_replaces_the_file(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel")
    np.save("few.npy", files["vectors"][:3])
    run("build", "few.npy", "-o", "v.tiercel")
    assert len(tiercel.Index.load("v.tiercel")) == 3


def test_bench_measures_recall_against_exact_search(run: Run, files: dict[str, np.ndarray]) -> None:
    found = document(run("bench", "vectors.npy", "queries.npy", "-k", "5", "--metric", "l2", "--json"))
    assert (found["queries"], found["k"], found["index"]["stats"]["len"]) == (7, 5, 300)
    efs = [row["ef_search"] for row in found["curve"]]
    assert efs == sorted(efs)
    assert all(0 <= row["recall"] <= 1 and row["qps"] > 0 for row in found["curve"])
    assert found["curve"][-1]["recall"] == 1.0


def test_bench_leaves_its_own_queries_out_of_the_index(run: Run, files: dict[str, np.ndarray]) -> None:
    found = document(run("bench", "vectors.npy", "--json"))
    assert (found["queries"], found["index"]["stats"]["len"]) == (30, 270)


@pytest.mark.parametrize("options", [["--raw", "none"], ["--rerank", "none"]])
def test_bench_compares_codes_with_full_vectors(run: Run, options: list[str]) -> None:
    """Codes of one bit say little, and must not be the measure of themselves."""
    vectors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    np.save("many.npy", vectors)
    found = document(run("bench", "many.npy", "--storage", "rabitq1", "--kind", "flat", "--json", *options))
    assert found["index"]["stats"]["storage"] == "rabitq1"
    assert found["curve"][-1]["recall"] < 0.7


def test_bench_prints_a_table(run: Run, files: dict[str, np.ndarray]) -> None:
    code, out, err = run("bench", "vectors.npy", "queries.npy", "-k", "400")
    assert (code, err) == (0, "")
    assert "recall@300" in out
    assert ["exact", "1.0000"] in [line.split()[:2] for line in out.splitlines()]


def test_bench_draws_the_curve(run: Run, files: dict[str, np.ndarray]) -> None:
    pytest.importorskip("matplotlib")
    assert run("bench", "vectors.npy", "queries.npy", "--plot", "curve.png")[0] == 0
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_bench_says_how_to_get_matplotlib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("bench", "--plot", "curve.png")
    assert (code, out) == (2, "")
    assert err == "tiercel: error: matplotlib is not installed: pip install 'tiercel[plot]'\n"


def test_bench_draws_what_matplotlib_can(run: Run) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = run("bench", "--plot", "curve.doc")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert ".png" in err


def test_demo_shows_queries_recall_and_throughput(run: Run) -> None:
    found = document(run("demo", "--json"))
    assert found["index"]["stats"]["len"] == 5000
    assert len(found["examples"]) == 3
    assert all(len(example["results"]) == 5 for example in found["examples"])
    assert found["examples"][0]["results"][0]["relevant"]
    assert found["searches"][-1] | {"qps": 0} == {"recall_asked": 1.0, "recall": 1.0, "qps": 0, "quality": "exact"}
    assert all(row["recall"] >= 0.9 and row["qps"] > 0 for row in found["searches"])
    asked = [(each["quality"], each["from_cache"]) for each in found["cache"]["asked"]]
    assert asked == [("exact", False), ("exact", True), ("certified", True)]
    assert found["cache"]["equals_exact_search"]
    code, out, err = run("demo")
    assert (code, err) == (0, "")
    assert "a near one      certified  from the cache" in out
    assert "0.653 * twig: branch out in a twiglike manner" in out
    assert "recall@10" in out


def test_recall_counts_equally_near_results() -> None:
    index = tiercel.Index(dim=2, metric="l2")
    index.add([[0, 1], [1, 0], [0, -1], [5, 5], [6, 6]])
    exact = index.search([[0, 0]], 2, recall=1)
    other_choice = index.search([[0, 0]], 2, filter=np.setdiff1d(index.ids, exact.ids[0, :1]))
    assert set(exact.ids[0].tolist()) != set(other_choice.ids[0].tolist())
    assert measure.recall_at_k(other_choice, exact, "l2") == 1.0
    wrong = index.search([[0, 0]], 2, filter=[3, int(exact.ids[0, 0])])
    assert measure.recall_at_k(wrong, exact, "l2") == 0.5


BAD_INPUT = {
    "no command": ([], "COMMAND"),
    "unknown command": (["fly"], "fly"),
    "unknown option": (["info", "--fast"], "--fast"),
    "no output": (["build", "vectors.npy"], "--output"),
    "missing file": (["build", "gone.npy", "-o", "x"], "gone.npy"),
    "directory": (["build", ".", "-o", "x"], "directory"),
    "text": (["build", "text.npy", "-o", "x"], "text.npy"),
    "empty file": (["build", "empty.npy", "-o", "x"], "empty.npy"),
    "archive": (["build", "archive.npz", "-o", "x"], "archive.npz"),
    "pickle": (["build", "pickle.npy", "-o", "x"], "pickle.npy"),
    "objects": (["build", "objects.npy", "-o", "x"], "objects"),
    "cut": (["build", "cut.npy", "-o", "x"], "cut.npy"),
    "strings": (["build", "strings.npy", "-o", "x"], "vectors"),
    "complex": (["build", "complex.npy", "-o", "x"], "vectors"),
    "NaN": (["build", "nan.npy", "-o", "x"], "row 3"),
    "one dimension": (["build", "flat.npy", "-o", "x"], "VECTORS.npy"),
    "no values": (["build", "narrow.npy", "-o", "x"], "dim"),
    "two-dimensional ids": (["build", "vectors.npy", "-o", "x", "--ids", "queries.npy"], "--ids"),
    "too few ids": (["build", "vectors.npy", "-o", "x", "--ids", "three.npy"], "ids"),
    "ids given twice": (["build", "vectors.npy", "-o", "x", "--ids", "twice.npy"], "ids"),
    "no such directory": (["build", "vectors.npy", "-o", "gone/x"], "gone"),
    "output is a directory": (["build", "vectors.npy", "-o", "."], "directory"),
    "m": (["build", "vectors.npy", "-o", "x", "--m", "1"], "m: "),
    "ef_construction": (["build", "vectors.npy", "-o", "x", "--ef-construction", "0"], "ef_construction"),
    "threads": (["build", "vectors.npy", "-o", "x", "--threads", "0"], "threads"),
    "metric": (["build", "vectors.npy", "-o", "x", "--metric", "hamming"], "metric"),
    "no index": (["search", "gone.tiercel", "queries.npy"], "gone.tiercel"),
    "no index to describe": (["info", "gone.tiercel"], "gone.tiercel"),
    "k of zero": (["search", "v.tiercel", "queries.npy", "-k", "0"], "k"),
    "negative k": (["search", "v.tiercel", "queries.npy", "-k", "-4"], "k"),
    "k of another type": (["search", "v.tiercel", "queries.npy", "-k", "ten"], "ten"),
    "recall": (["search", "v.tiercel", "queries.npy", "--recall", "1.5"], "recall"),
    "recall and ef_search": (["search", "v.tiercel", "queries.npy", "--recall", "1", "--ef-search", "9"], "--recall"),
    "ef_search": (["search", "v.tiercel", "queries.npy", "--ef-search", "0"], "ef_search"),
    "other dimension": (["search", "v.tiercel", "narrow.npy"], "12"),
    "search output": (["search", "v.tiercel", "queries.npy", "-o", "gone/x"], "gone"),
    "nothing to measure": (["bench", "one.npy"], "VECTORS.npy"),
    "no queries": (["bench", "vectors.npy", "none.npy"], "QUERIES.npy"),
}


@pytest.fixture
def bad_files(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    with_nan = files["vectors"].copy()
    with_nan[3, 4] = np.nan
    arrays: dict[str, np.ndarray] = {
        "strings": np.array([["a", "b"]]),
        "complex": np.zeros((3, 4), np.complex64),
        "nan": with_nan,
        "flat": np.zeros(12, np.float32),
        "narrow": np.zeros((3, 0), np.float32),
        "three": np.arange(3),
        "twice": np.zeros(300, np.int64),
        "one": files["vectors"][:1],
        "none": files["vectors"][:0],
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.array([[1.0]]).dump(tmp_path / "pickle.npy")
    np.savez(tmp_path / "archive.npz", vectors=files["vectors"])
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "vectors.npy").read_bytes()[:500])
    index = tiercel.Index(dim=12)
    index.add(files["vectors"])
    index.save(tmp_path / "v.tiercel")


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("args", "named"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_one_line_and_exit_code_2(run: Run, args: list[str], named: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith("tiercel: error: ")
    assert err.count("\n") == 1
    assert named in err
    assert not Path("x").exists()


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_a_damaged_header_is_never_a_traceback(run: Run) -> None:
    np.save("small.npy", np.ones((3, 4), np.float32))
    whole = Path("small.npy").read_bytes()
    for position in range(whole.index(b"\n") + 1):
        for value in (0, ord("(")) if position % 2 else (ord("9"), whole[position] ^ 1):
            Path("bad.npy").write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            code, out, err = run("build", "bad.npy", "-o", "x", "--json")
            assert code == 0 or (code, out, err.count("\n")) == (2, "", 1)


def test_a_damaged_index_is_exit_code_1(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel")
    whole = Path("v.tiercel").read_bytes()
    for damaged in (whole[:-10], whole[:3], b"", b"\x00" * 200, Path("vectors.npy").read_bytes()):
        Path("v.tiercel").write_bytes(damaged)
        code, out, err = run("search", "v.tiercel", "queries.npy", "--json")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("tiercel: error: ")


def test_an_unknown_instruction_set_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERCEL_SIMD", "mmx")
    for args in (["info"], ["demo"]):
        code, out, err = run(*args)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "TIERCEL_SIMD" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "not enough memory"),
        (OSError(28, "No space left on device", "v.tiercel"), 1, "No space left on device: v.tiercel"),
        (tiercel.CorruptionError("two\nlines"), 1, "two lines"),
    ],
)
def test_failures_have_their_exit_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(args: object) -> None:
        raise error

    monkeypatch.setattr("tiercel.cli.info.run", fail)
    assert run("info") == (code, "", f"tiercel: error: {message}\n")


def test_help_documents_commands_and_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for word in ("info", "build", "search", "bench", "demo", "130"):
        assert word in out
    assert run("build", "--help")[0] == 0
    assert run("--version")[1] == f"tiercel {tiercel.__version__}\n"


def test_a_reader_that_closes_the_pipe_is_no_error(run: Run, files: dict[str, np.ndarray]) -> None:
    run("build", "vectors.npy", "-o", "v.tiercel")
    # More output than a pipe holds, so that the writer is still writing when the reader leaves.
    np.save("many.npy", np.tile(files["queries"], (300, 1)))
    process = start("search", "v.tiercel", "many.npy", "-k", "50", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().split() == [b"query", b"rank", b"id", b"distance"]
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("info", stdout=full)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, b"tiercel: error: No space left on device: standard output\n")


def test_text_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    process = start("info", "gr\u00fcn.tiercel", stdout=subprocess.PIPE, env=environment, cwd=tmp_path)
    out, err = process.communicate()
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1)
