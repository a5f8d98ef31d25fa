"""`tiercel ingest`: its result, however it ends, for any batch size, also with `--resume`."""

import gzip
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import RECORDS, Run, document, refused, start, write_lines

import tiercel
from tiercel.cli import ingest, interrupts
from tiercel.cli.beginning import Beginning

# Every test has `zoo.jsonl` in its directory.
pytestmark = pytest.mark.usefixtures("zoo_file")


@pytest.fixture(params=[1, 2, 1000])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run with batches of several sizes."""
    monkeypatch.setattr(ingest, "BATCH", request.param)
    return request.param


def content(directory: str) -> dict[str, Any]:
    """Return the content of a collection, by id."""
    with tiercel.open(directory, mode="r") as collection:
        return {
            match.id: (match.text, match.metadata, None if match.vector is None else match.vector.tolist())
            for match in collection.scan(include=["text", "metadata", "vector"])
        }


def test_ingest_puts_every_line_in(run: Run) -> None:
    found = document(run("ingest", "zoo.jsonl", "--into", "zoo", "--json"))
    assert (found["written"], found["skipped"], found["dim"], found["stats"]["records"]) == (4, 0, 3, 4)
    with tiercel.open("zoo") as collection:
        cat, owl = collection.get(["cat", "owl"])
        assert cat is not None
        assert cat.vector is not None
        assert owl is not None
        assert (cat.text, cat.metadata, cat.vector.tolist()) == ("a cat sleeps", {"legs": 4}, [1, 0, 0])
        assert owl.text is owl.metadata is owl.vector is None
    code, out, err = run("ingest", "zoo.jsonl", "--into", "zoo")
    assert (code, err) == (0, "")
    assert "4 records written" in out
    assert "records      4" in out


# One id three times, with others between.
CHANGED: list[dict[str, Any]] = [
    {"id": "cat", "text": "a cat", "vector": [3, 4.1, 0]},
    {"id": "hen", "metadata": {"legs": 2, "eggs": 1.0}},
    {"id": "cat", "text": "another cat", "vector": [1, 0, 0]},
    {"id": "eel", "text": "an eel"},
    {"id": "cat", "text": "the last cat"},
]


@pytest.mark.parametrize("done", [0, 2, 5])
@pytest.mark.usefixtures("batch")
def test_what_resumes_ends_like_one_run(run: Run, done: int) -> None:
    write_lines("all.jsonl", CHANGED)
    # The first vector determines the length of all.
    write_lines("part.jsonl", [RECORDS[2], *CHANGED[:done]])
    for directory in ("plain", "resumed"):
        document(run("ingest", "part.jsonl", "--into", directory, "--json"))
    plain = document(run("ingest", "all.jsonl", "--into", "plain", "--json"))
    resumed = document(run("ingest", "all.jsonl", "--into", "resumed", "--resume", "--json"))
    assert content("resumed") == content("plain")
    assert content("plain")["cat"][0] == "the last cat"
    assert (plain["written"], plain["skipped"]) == (5, 0)
    assert resumed["written"] + resumed["skipped"] == 5
    assert resumed["stats"]["sequence"] <= plain["stats"]["sequence"]


@pytest.mark.usefixtures("batch")
def test_what_is_there_is_skipped(run: Run) -> None:
    for options in ([], ["--embedder", "hashing"]):
        records = [{"id": each["id"], "text": each.get("text")} for each in RECORDS] if options else RECORDS
        write_lines("zoo.jsonl", records)
        directory = "-".join(["zoo", *options])
        document(run("ingest", "zoo.jsonl", "--into", directory, "--json", *options))
        found = document(run("ingest", "zoo.jsonl", "--into", directory, "--resume", "--json", *options))
        assert (found["written"], found["skipped"], found["stats"]["sequence"]) == (0, 4, found["stats"]["sequence"])


def test_a_blank_text_has_no_vector_and_finds_nothing(run: Run) -> None:
    write_lines("zoo.jsonl", [{"id": "cat", "text": "a cat sleeps"}, {"id": "blank", "text": " "}])
    command = ["ingest", "zoo.jsonl", "--into", "zoo", "--embedder", "hashing", "--json"]
    assert document(run(*command))["written"] == 2
    assert document(run(*command, "--resume"))["skipped"] == 2
    assert document(run("query", "zoo", " ", "--json"))["results"] == []
    with tiercel.open("zoo", mode="r") as zoo:
        assert [match.vector is None for match in zoo.scan(include=["vector"])] == [False, True]


@pytest.mark.parametrize(
    "change", [{"text": "other"}, {"metadata": {"legs": 4.0}}, {"metadata": None}, {"vector": [1, 0, 1e-3]}]
)
def test_what_has_changed_is_written(run: Run, change: dict[str, Any]) -> None:
    run("ingest", "zoo.jsonl", "--into", "zoo")
    changed = {key: value for key, value in (RECORDS[0] | change).items() if value is not None}
    write_lines("zoo.jsonl", [changed, *RECORDS[1:]])
    found = document(run("ingest", "zoo.jsonl", "--into", "zoo", "--resume", "--json"))
    assert (found["written"], found["skipped"]) == (1, 3)
    run("ingest", "zoo.jsonl", "--into", "plain")
    assert content("zoo") == content("plain")


def test_a_record_that_cannot_be_compared_is_an_error_with_its_line(run: Run) -> None:
    run("ingest", "zoo.jsonl", "--into", "zoo")
    for wrong in ({"vector": [[1, 0, 0]]}, {"vector": ["1", "0", "0"]}, {"vector": [1, [0], 0]}, {"id": 1}):
        write_lines("zoo.jsonl", [RECORDS[1], RECORDS[0] | wrong])
        refused(run("ingest", "zoo.jsonl", "--into", "zoo", "--resume"), "zoo.jsonl, line 3")


@pytest.mark.usefixtures("batch")
def test_lines_before_a_wrong_one_are_in(run: Run) -> None:
    write_lines("zoo.jsonl", RECORDS[:1])
    run("ingest", "zoo.jsonl", "--into", "zoo")
    for number, wrong in enumerate(
        [{"id": ""}, {"id": "x", "vector": [1]}, {"id": "x", "txt": 1}, {"id": "x", "text": 1}]
    ):
        fresh = [{"id": f"{number}-{each}"} for each in range(3)]
        write_lines("more.jsonl", [*fresh, wrong, {"id": "later"}])
        refused(run("ingest", "more.jsonl", "--into", "zoo"), "more.jsonl, line 7: ")
        assert len(content("zoo")) == 1 + 3 * (number + 1)
    assert "later" not in content("zoo")


@pytest.mark.usefixtures("batch")
def test_the_first_vector_decides_how_long_the_others_are(run: Run) -> None:
    write_lines("new.jsonl", [{"id": "a"}, {"id": "b", "vector": [1, 2]}, {"id": "c", "vector": [1, 2, 3]}])
    refused(run("ingest", "new.jsonl", "--into", "new"), "new.jsonl, line 5: ")


def test_what_others_put_beside_a_collection_that_is_taken_back_stays(tmp_path: Path) -> None:
    beginning = Beginning(str(tmp_path / "new"))
    collection = tiercel.open(tmp_path / "new", dim=2)
    (tmp_path / "new" / "notes.txt").write_text("mine", encoding="utf-8")
    beginning.take_back(collection)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["notes.txt"]


def test_lines_before_one_that_is_no_record_are_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BATCH", 2)
    Path("many.jsonl").write_text('{"id": "a"}\n\n{"id": "b"}\n{"id": "c"}\n{"id"\n', encoding="utf-8")
    refused(run("ingest", "many.jsonl", "--into", "many"), "many.jsonl, line 5: expected a JSON object")
    assert list(content("many")) == ["a", "b", "c"]


@pytest.mark.parametrize("wrong", [{"id": 1}, {"id": "b", "vector": [1, 2]}, {"id": "b", "txt": 1}])
@pytest.mark.parametrize("embedder", ["none", "hashing"])
def test_a_first_batch_that_fails_leaves_nothing(run: Run, wrong: dict[str, Any], embedder: str) -> None:
    write_lines("bad.jsonl", [{"id": "a", "text": "a cat", "vector": [1, 2, 3]}, wrong])
    before = sorted(Path.cwd().rglob("*"))
    refused(run("ingest", "bad.jsonl", "--into", "zoo", "--embedder", embedder), "bad.jsonl, line ")
    assert sorted(Path.cwd().rglob("*")) == before
    # Other vectors, and another embedder: nothing of the first attempt contradicts them.
    write_lines("bad.jsonl", [{"id": "a", "vector": [1, 2]}])
    assert document(run("ingest", "bad.jsonl", "--into", "zoo", "--json"))["dim"] == 2


def test_a_first_batch_that_fails_leaves_an_empty_directory_empty(run: Run) -> None:
    Path("zoo").mkdir()
    write_lines("bad.jsonl", [{"id": "a", "vector": [1, 2]}, {"id": ""}])
    refused(run("ingest", "bad.jsonl", "--into", "zoo"), "bad.jsonl, line 3: id: ")
    assert list(Path("zoo").iterdir()) == []


def test_a_first_batch_that_fails_leaves_an_older_collection(run: Run) -> None:
    tiercel.open("zoo", schema={"legs": int}).close()
    write_lines("bad.jsonl", [{"id": "a", "metadata": {"legs": "four"}}])
    refused(run("ingest", "bad.jsonl", "--into", "zoo"), "bad.jsonl, line 1: metadata")
    with tiercel.open("zoo", mode="r") as collection:
        assert collection.schema == {"legs": int}


def test_a_collection_that_another_one_makes_meanwhile_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = tiercel.open

    def open_late(*args: Any, **options: Any) -> tiercel.Collection:
        with opens("zoo") as other:
            other.upsert(["mine"])
        return opens(*args, **options)

    monkeypatch.setattr(tiercel, "open", open_late)
    write_lines("bad.jsonl", [{"id": ""}])
    refused(run("ingest", "bad.jsonl", "--into", "zoo"), "bad.jsonl, line 1")
    monkeypatch.setattr(tiercel, "open", opens)
    assert list(content("zoo")) == ["mine"]


def test_a_disk_that_fails_is_told_with_the_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise tiercel.DiskFullError(28, "No space left on device", "zoo")

    run("ingest", "zoo.jsonl", "--into", "zoo")
    monkeypatch.setattr(tiercel.Collection, "upsert", fails)
    code, out, err = run("ingest", "zoo.jsonl", "--into", "zoo")
    assert (code, out) == (1, "")
    assert err == "tiercel: error: zoo.jsonl, line 1 to 7: No space left on device: zoo\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: expected a JSON object"),
        ("[1]", "line 1: expected a JSON object, got list"),
        ("[" * 100_000, "line 1: expected a JSON object"),
        ('{"text": "a"}', "got no id"),
        ('{"id": "a", "txt": "a"}', "got 'txt'"),
        ('{"id": 1}', "line 1: id: expected a str, got int\n"),
        ('{"id": "a", "vector": "abc"}', "line 1: vector: expected a numeric array, got texts\n"),
        (
            '{"id": "a", "vector": [0, 0]}',
            "line 1: vector: expected a vector with a direction for the cosine metric, got norm 0\n",
        ),
        ('{"id": "a", "text": 1}', "line 1: text: expected a str, got int"),
        ('{"id": "a", "metadata": 1}', "line 1: metadata: expected a dict, got int"),
        ('{"id": "a", "vector": 1}', "line 1: vector: "),
        ('{"id": "a", "vector": [1, "b"]}', "line 1: vector: expected a numeric array"),
        ('{"id": "a", "vector": [1, NaN]}', "line 1: vector: expected finite values, got NaN at column 1"),
        ('{"id": "a", "text": "\\ud800"}', "lone surrogate"),
        ('{"id": "a", "id": "b"}', "line 1: expected each key of an object once, got 'id' twice"),
        ('{"id": "a", "metadata": {"x": 1, "y": 2, "x": 3}}', "expected each key of an object once, got 'x' twice"),
        ('{"id": "a", "vector": []}', "line 1: vector: expected vectors of at least one number, got empty ones"),
        ('{"id": "a", "vector": [null, 1]}', "line 1: vector: expected a numeric array, got None at column 0"),
        ('{"id": "a", "vector": [1' + "0" * 400 + "]}", "got an int of more than 64 bits at column 0"),
    ],
)
def test_lines_that_are_no_records(run: Run, line: str, message: str) -> None:
    Path("bad.jsonl").write_text(line, encoding="utf-8")
    refused(run("ingest", "bad.jsonl", "--into", "bad"), "bad.jsonl, line", message)


def test_files_that_cannot_be_ingested(run: Run) -> None:
    refused(run("ingest", "none.jsonl", "--into", "zoo"), "none.jsonl", "does not exist")
    refused(run("ingest", ".", "--into", "zoo"), "expected a file")
    Path("bad.jsonl.gz").write_bytes(b"no gzip")
    refused(run("ingest", "bad.jsonl.gz", "--into", "zoo"), "bad.jsonl.gz: expected gzip")
    Path("cut.jsonl.gz").write_bytes(gzip.compress(Path("zoo.jsonl").read_bytes())[:-9])
    refused(run("ingest", "cut.jsonl.gz", "--into", "zoo"), "cut.jsonl.gz, line 9: expected gzip")
    assert not Path("zoo").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(run: Run, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Path("zoo.jsonl").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(lines) if packed else lines)))
    assert document(run("ingest", "-", "--into", "zoo", "--json"))["written"] == 4
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "a"}\n{"id": 1}')))
    refused(run("ingest", "-", "--into", "zoo"), "standard input, line 2: id: expected a str, got int")
    monkeypatch.setattr("sys.stdin", None)
    refused(run("ingest", "-", "--into", "zoo"), "standard input, which is closed")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_from_one_collection_to_another(run: Run) -> None:
    run("ingest", "zoo.jsonl", "--into", "zoo")
    os.mkfifo("pipe")
    with start("export", "zoo", "-o", "pipe", "--json", stdout=subprocess.PIPE) as export:
        assert document(run("ingest", "pipe", "--into", "copy", "--json"))["written"] == 4
        assert json.loads(export.communicate()[0])["records"] == 4
    assert Path("pipe").is_fifo()
    assert content("copy") == content("zoo")
    assert run("export", "copy", "-o", "-")[1] == run("export", "zoo")[1]


def test_numbers_of_lines_hold_whatever_their_size(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BATCH_BYTES", 100)
    write_lines("zoo.jsonl", [{"id": "a", "text": "x" * 99_000}, {"id": "b", "text": "y" * 99_000}, {"id": ""}])
    refused(run("ingest", "zoo.jsonl", "--into", "zoo"), "zoo.jsonl, line 5: id: ")
    assert list(content("zoo")) == ["a", "b"]


def test_an_empty_file_makes_an_empty_collection(run: Run) -> None:
    Path("empty.jsonl").write_text("\n", encoding="utf-8")
    assert document(run("ingest", "empty.jsonl", "--into", "empty", "--json"))["written"] == 0
    assert document(run("query", "empty", "cat", "--json"))["results"] == []


def test_help_says_that_what_has_changed_is_not_skipped(run: Run) -> None:
    assert "the collection already has with the same text" in " ".join(run("ingest", "--help")[1].split())


@pytest.mark.parametrize("batch", [2], indirect=True)
def test_ctrl_c_counts_a_batch_that_has_just_been_written(
    run: Run, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = tiercel.Collection.upsert
    calls = 0

    def interrupted(self: tiercel.Collection, *args: Any) -> int:
        nonlocal calls
        calls += 1
        done = upsert(self, *args)
        if calls == 2:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(tiercel.Collection, "upsert", interrupted)
    # This process continues, so what was left open is closed along with the list.
    monkeypatch.setattr(interrupts, "_LEFT", [])
    code, _, err = run("ingest", "zoo.jsonl", "--into", "zoo")
    assert (code, "4 records of zoo.jsonl are in" in err) == (130, True)
    assert len(content("zoo")) == 4
