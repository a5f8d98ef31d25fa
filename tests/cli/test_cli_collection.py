"""Commands for collections: the output and exit codes of each; bad input is one line on stderr."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from commands import RECORDS, Run, document, refused, write_lines
from support.disks import fill, small_disk

import tiercel
from tiercel.cli import ingest
from tiercel.cli.demo_collection import collection_lines, show_collection

# Every test has `zoo.jsonl` in its directory.
pytestmark = pytest.mark.usefixtures("zoo_file")


@pytest.fixture
def zoo(run: Run) -> Run:
    """`run` in a directory that also contains the collection `zoo`."""
    assert run("ingest", "zoo.jsonl", "--into", "zoo")[0] == 0
    return run


def test_query_finds_by_text_by_vector_and_by_both(zoo: Run) -> None:
    def ids(*args: str) -> list[str]:
        return [each["id"] for each in document(zoo("query", "zoo", *args, "--json"))["results"]]

    np.save("q.npy", np.array([0.1, 0.9, 0.2]))
    assert ids("sleeping") == ["cat", "eel"]
    assert ids("--vector", "q.npy", "-k", "2") == ["hen", "eel"]
    assert set(ids("sleeping", "--vector", "q.npy")) == {"cat", "hen", "eel"}
    assert ids("sleeping", "--filter", '{"legs": {"$gte": 3}}') == ["cat"]
    assert ids("sleeping -mud") == ["eel", "cat"]
    assert ids("sleeping -mud", "--syntax", "operators") == ["cat"]


def test_query_prints_a_line_a_result(zoo: Run) -> None:
    code, out, err = zoo("query", "zoo", "eggs", "--explain")
    table = out.splitlines()
    assert (code, err, table[0]) == (0, "", "rank\tid\tscore\ttext")
    rank, name, score, text = table[1].split("\t")
    assert (rank, name, text) == ("1", "hen", "a hen lays eggs")
    assert float(score) > 0
    assert table[2].startswith("found by text, exact")
    plan = document(zoo("query", "zoo", "eggs", "--explain", "--json"))["plan"]
    assert plan["way"] == "text"


def test_query_explains_that_a_field_is_misspelt(zoo: Run) -> None:
    _, out, _ = zoo("query", "zoo", "eggs", "--explain", "--filter", '{"lges": 2, "legs": 2}')
    assert out.splitlines()[-1] == "no record has the field lges"


def test_a_collection_made_with_hashing_is_searched_with_it(run: Run) -> None:
    write_lines("zoo.jsonl", [{"id": each["id"], "text": each.get("text")} for each in RECORDS])
    made = document(run("ingest", "zoo.jsonl", "--into", "zoo", "--embedder", "hashing", "--json"))
    assert (made["dim"], made["embedder"]) == (384, "tiercel-hashing-1/dim=384/seed=0")
    found = document(run("query", "zoo", "sleeping", "--explain", "--json"))
    assert found["plan"]["way"] == "hybrid"
    assert {each["id"] for each in found["results"]} == {"cat", "hen", "eel"}
    refused(run("ingest", "zoo.jsonl", "--into", "zoo"), "--embedder: expected hashing")


def test_bad_queries(zoo: Run) -> None:
    np.save("two.npy", np.zeros((2, 3)))
    np.save("short.npy", np.ones(2))
    refused(zoo("query", "zoo"), "TEXT, --vector or both")
    refused(zoo("query", "zoo", "a", "--filter", "{"), "--filter: expected JSON")
    refused(zoo("query", "zoo", "a", "--filter", "[]"), "--filter: expected a JSON object")
    refused(zoo("query", "zoo", "a", "--filter", '{"$what": 1}'), "filter")
    refused(zoo("query", "zoo", "a", "-k", "0"), "k: expected an int of at least 1")
    refused(zoo("query", "zoo", "--vector", "two.npy"), "--vector: expected 1 dimensions")
    refused(zoo("query", "zoo", "--vector", "short.npy"), "expected vectors of length 3, got 2")


@pytest.mark.parametrize(
    "command", [["query", "none", "a"], ["stats", "none"], ["verify", "none"], ["compact", "none"]]
)
def test_a_mistyped_name_makes_no_collection(run: Run, command: list[str]) -> None:
    refused(run(*command), "expected a collection, got none, which is not one")
    assert not Path("none").exists()


@pytest.mark.parametrize(
    "command", [["query", "i.tiercel", "a"], ["stats", "i.tiercel"], ["backup", "i.tiercel", "to"]]
)
def test_a_file_in_place_of_a_collection_is_told_its_own_commands(run: Run, command: list[str]) -> None:
    tiercel.Index(dim=2).save("i.tiercel")
    refused(run(*command), "DIR: expected a collection, got the file i.tiercel; tiercel search and tiercel info read")


@pytest.mark.parametrize("command", [["search", "zoo", "q.npy"], ["info", "zoo"]])
def test_a_collection_in_place_of_an_index_is_told_its_own_commands(zoo: Run, command: list[str]) -> None:
    np.save("q.npy", np.ones(3))
    expected = "FILE: expected a saved index, got the directory zoo; tiercel query and tiercel stats read a collection"
    refused(zoo(*command), expected)


def test_a_collection_that_is_open_is_one_line(zoo: Run) -> None:
    with tiercel.open("zoo"):
        code, out, err = zoo("compact", "zoo", "--json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "already open" in err


def test_what_only_reads_works_beside_a_writer(zoo: Run) -> None:
    with tiercel.open("zoo") as writer:
        writer.upsert(["fox"], texts=["a fox sleeps"])
        writer.checkpoint()
        assert [each["id"] for each in document(zoo("query", "zoo", "fox", "--json"))["results"]] == ["fox"]
        stats = document(zoo("stats", "zoo", "--json"))
        assert (stats["stats"]["records"], stats["mode"], stats["schema"]) == (5, "r", {})
        assert document(zoo("verify", "zoo", "--json"))["damage"] == []
        assert len(zoo("export", "zoo")[1].splitlines()) == 5


def test_what_only_reads_changes_nothing(zoo: Run) -> None:
    directory = Path("zoo")
    (directory / "part.tmp").write_text("mine")
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for command in (["query", "zoo", "eel"], ["stats", "zoo"], ["verify", "zoo"], ["export", "zoo"]):
        assert zoo(*command)[0] == 0
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_directory_that_lost_its_records_is_named(zoo: Run) -> None:
    Path("zoo/records").unlink()
    before = {path.name: path.read_bytes() for path in Path("zoo").iterdir()}
    for command in (
        ["query", "zoo", "eel"],
        ["stats", "zoo"],
        ["export", "zoo"],
        ["compact", "zoo"],
        ["backup", "zoo", "copy"],
    ):
        code, _, err = zoo(*command)
        assert code != 0
        assert "records: expected the record database" in err
        assert err.endswith("got no file: put it back, or restore the whole directory from a backup\n")
    assert zoo("verify", "zoo")[0] == 1
    assert {path.name: path.read_bytes() for path in Path("zoo").iterdir()} == before


def test_stats_tell_the_schema(run: Run) -> None:
    tiercel.open("typed", schema={"year": int, "tags": list[str]}).close()
    assert document(run("stats", "typed", "--json"))["schema"] == {"tags": "list[str]", "year": "int"}
    assert "schema       tags: list[str], year: int" in run("stats", "typed")[1]
    assert document(run("stats", "typed", "--json"))["language"] == "english"
    assert "language     english" in run("stats", "typed")[1]


def test_stats_compact_and_backup(zoo: Run) -> None:
    stats = document(zoo("stats", "zoo", "--json"))
    assert (stats["directory"], stats["metric"], stats["embedder"]) == ("zoo", "cosine", None)
    assert "records      4" in zoo("stats", "zoo")[1]
    with tiercel.open("zoo") as collection:
        collection.delete(["owl"])
    compacted = document(zoo("compact", "zoo", "--json"))
    assert (compacted["directory"], compacted["records"]) == ("zoo", 3)
    assert compacted["bytes_after"] > 0
    assert document(zoo("backup", "zoo", "copy", "--json"))["records"] == 3
    assert document(zoo("query", "copy", "mud", "--json"))["results"][0]["id"] == "eel"
    refused(zoo("backup", "zoo", "copy"), "absent or empty")


def test_codes_are_named_by_ingest_and_changed_by_compact(run: Run) -> None:
    lines = [{"id": str(row), "vector": np.random.default_rng(row).normal(size=8).tolist()} for row in range(1100)]
    write_lines("many.jsonl", lines)
    refused(run("ingest", "many.jsonl", "--into", "many", "--storage", "sq3"), "storage: expected 'auto' or ")
    refused(run("ingest", "many.jsonl", "--into", "many", "--storage", "pq9x8"), "of at least 9 values")
    assert not Path("many").exists()
    assert document(run("ingest", "many.jsonl", "--into", "many", "--storage", "sq8", "--json"))["storage"] == "sq8"
    refused(run("compact", "many", "--storage", "pq9x8"), "storage: expected at most 8 parts")
    compacted = document(run("compact", "many", "--storage", "rabitq2", "--json"))
    assert (compacted["records"], compacted["storage"]) == (1100, "rabitq2")
    assert document(run("compact", "many", "--json"))["storage"] == "rabitq2"
    assert "storage      rabitq2; rabitq2 in use" in run("stats", "many")[1]
    refused(run("ingest", "many.jsonl", "--into", "many", "--storage", "sq8"), "storage: expected 'rabitq2'")
    assert run("ingest", "many.jsonl", "--into", "many", "--resume")[0] == 0


def test_full_vectors_stay_on_disk_during_ingest_and_compact(run: Run) -> None:
    write_lines("many.jsonl", [{"id": str(row), "vector": [row, 1.5]} for row in range(20)])
    assert document(run("ingest", "many.jsonl", "--into", "many", "--raw", "disk", "--json"))["written"] == 20
    refused(run("compact", "many", "--raw", "disk", "--storage", "raw"), "storage: expected codes", "on disk")
    assert document(run("compact", "many", "--raw", "disk", "--storage", "sq8", "--json"))["storage"] == "sq8"


def test_query_finds_the_same_with_full_vectors_on_disk_or_in_half_precision(run: Run) -> None:
    rows = np.random.default_rng(1).normal(size=(1500, 8)).round(3).tolist()
    write_lines("many.jsonl", [{"id": str(row), "vector": vector} for row, vector in enumerate(rows)])
    run("ingest", "many.jsonl", "--into", "many")
    np.save("query.npy", np.float32(rows[7]))
    for options in ([], ["--raw", "disk"], ["--rerank", "f16"], ["--raw", "disk", "--rerank", "none"]):
        found = document(run("query", "many", "--vector", "query.npy", "-k", "1", "--json", *options))["results"]
        assert [result["id"] for result in found] == ["7"]


def test_verify_tells_damage_and_fails(zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zoo("verify", "zoo") == (0, "4 records, nothing is damaged\n", "")
    monkeypatch.setattr(tiercel.Collection, "verify", lambda self: ["records: page 3"])
    code, out, _ = zoo("verify", "zoo", "--json")
    assert (code, json.loads(out)["damage"]) == (1, ["records: page 3"])
    assert zoo("verify", "zoo") == (1, "damaged      records: page 3\n", "")


def test_verify_tells_damage_that_keeps_a_collection_from_opening(zoo: Run) -> None:
    records = Path("zoo/records")
    damaged = bytearray(records.read_bytes())
    damaged[0] ^= 1
    records.write_bytes(damaged)
    code, out, err = zoo("verify", "zoo", "--json")
    assert (code, err) == (1, "")
    (damage,) = json.loads(out)["damage"]
    assert "records" in damage
    assert zoo("verify", "zoo")[0] == 1


def test_a_full_disk_is_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BATCH", 100)
    write_lines("many.jsonl", [{"id": str(number), "text": f"cats {number} " * 200} for number in range(2000)])
    with small_disk(tmp_path / "disk", "2m") as disk:
        directory = str(disk / "zoo")
        code, out, err = run("ingest", "many.jsonl", "--into", directory)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("tiercel: error: many.jsonl, line ")
        kept = (int(err.split(" to ")[0].rpartition(" ")[2]) - 1) // 2
        assert kept >= 100
        fill(disk)
        assert document(run("stats", directory, "--json"))["stats"]["records"] == kept
        assert document(run("verify", directory, "--json")) == {"directory": directory, "records": kept, "damage": []}
        assert document(run("query", directory, "cats", "-k", "1", "--json"))["results"]
        assert len(run("export", directory)[1].splitlines()) == kept
        for command in (["export", directory, "-o", f"{disk}/out.jsonl"], ["backup", directory, f"{disk}/copy"]):
            code, out, err = run(*command)
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert "no space left" in err.lower()
        # Opening for writing rewrites `view`.
        assert {path.parent for path in disk.rglob("*") if path.is_file()} == {disk, disk / "zoo"}
        assert [path.name for path in disk.iterdir() if path.is_file()] == ["filler"]
        (disk / "filler").unlink()
        few = document(run("export", directory, "-o", "few.jsonl", "--json"))["records"]
        assert few == kept


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_export_is_what_ingest_reads(zoo: Run, name: str) -> None:
    assert document(zoo("export", "zoo", "-o", name, "--json")) == {"directory": "zoo", "output": name, "records": 4}
    document(zoo("ingest", name, "--into", "again", "--json"))
    code, out, err = zoo("export", "again")
    assert (code, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == RECORDS
    assert sorted(path.name for path in Path.cwd().iterdir()) == sorted(["again", "zoo", "zoo.jsonl", name])


def test_export_needs_a_place_for_records(zoo: Run) -> None:
    refused(zoo("export", "zoo", "--json"), "--output")
    refused(zoo("export", "zoo", "-o", "-", "--json"), "--output")
    Path("there").mkdir()
    refused(zoo("export", "zoo", "-o", "there"), "--output: expected a file")
    refused(zoo("export", "zoo", "-o", "no/such.jsonl"), "--output")


def test_the_demo_loses_nothing() -> None:
    found = show_collection(tiercel.datasets.load_wordnet_sample())
    assert found["stats"]["records"] == 5000
    ways = {search["way"]: [each["text"] for each in search["results"]] for search in found["searches"]}
    assert ways["by both"][0] == "twig: branch out in a twiglike manner"
    assert all(len(texts) == 3 for texts in ways.values())
    if hasattr(signal, "SIGKILL"):
        kill = found["kill"]
        assert kill["found"] >= kill["acknowledged"] >= 1000
        assert (kill["lost"], kill["half_batches"], kill["damage"]) == (0, 0, [])
    assert "0 acknowledged ones lost" in "\n".join(collection_lines(found)) or found["kill"] is None


def test_help_of_every_command(run: Run) -> None:
    for command in ("ingest", "query", "stats", "verify", "compact", "backup", "export"):
        assert command in run("--help")[1]
        assert "exit codes" in run(command, "--help")[1]
