"""The words of a command can come in any order, and `--` ends its options."""

from itertools import pairwise, permutations
from pathlib import Path

import pytest
from commands import Run, document, refused, runner, write_lines

from tiercel.cli.arguments import make_parser

# Words that belong together, by command; positional arguments keep their order.
COMMANDS: dict[str, list[list[str]]] = {
    "info": [["FILE"], ["--json"]],
    "build": [["V.npy"], ["-o", "out"], ["--metric", "dot"], ["--json"]],
    "search": [["FILE"], ["Q.npy"], ["-k", "-1"], ["--recall=1"]],
    "bench": [["V.npy"], ["Q.npy"], ["--metric", "dot"], ["-k5"]],
    "ingest": [["-"], ["--into", "DIR"], ["--resume"]],
    "query": [["DIR"], ["two words"], ["-k", "1"], ["--explain"], ["--filter", '{"year": 2001}']],
    "backup": [["DIR"], ["TO"], ["--json"]],
    "export": [["DIR"], ["-o", "-"], ["--json"]],
    "cache replay": [["TRACE"], ["--size", "5"], ["--below", "9"], ["--json"]],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_words_stand_in_any_order(command: str) -> None:
    parts = COMMANDS[command]
    others = [part for part in parts if part == ["-"] or not part[0].startswith("-")]
    options = [part for part in parts if part not in others]

    def parsed(chosen: list[list[str]]) -> dict[str, object]:
        return vars(make_parser().parse_args([*command.split(), *(word for part in chosen for word in part)]))

    expected = parsed([*options, ["--"], *others])
    # `--size` takes several numbers.
    orders = [order for order in permutations(parts) if [part for part in order if part in others] == others]
    assert all(parsed(list(order)) == expected for order in orders if not _takes_too_much(order))
    assert len(orders) > 1


def _takes_too_much(order: tuple[list[str], ...]) -> bool:
    """Whether `--size` would take TRACE for one of its numbers."""
    return any(one[0] == "--size" and next_ == ["TRACE"] for one, next_ in pairwise(order))


@pytest.fixture
def notes(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command next to a collection of notes."""
    monkeypatch.chdir(tmp_path)
    run = runner(capsys)
    write_lines("notes.jsonl", [{"id": "push", "text": "git push --force"}, {"id": "cat", "text": "cats"}])
    assert run("ingest", "notes.jsonl", "--into", "notes")[0] == 0
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "notes", "--", "--force"],
        ["notes", "--json", "--", "--force"],
        ["--json", "--", "notes", "--force"],
        ["notes", "-k", "1", "--json", "--", "-force"],
        ["notes", "--json", "-force or push"],
        ["notes", "-k", "1", "--json", "--syntax", "operators", "--", "+push"],
    ],
)
def test_a_text_may_begin_with_a_dash(notes: Run, words: list[str]) -> None:
    assert [each["id"] for each in document(notes("query", *words))["results"]] == ["push"]


def test_a_word_that_is_excluded_alone(notes: Run) -> None:
    words = ["--syntax", "operators", "--json", "--", "-cats"]
    assert document(notes("query", "notes", *words))["results"] == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["query", "notes", "-force"], ["arguments: -force", "put -- before words", "tiercel query --help"]),
        (["query", "notes", "--bogus", "3"], ["arguments: --bogus", "tiercel query --help"]),
        (["query", "notes", "cats", "hens"], ["arguments: hens", "tiercel query --help"]),
        (["query", "notes", "--", "cats", "-k", "1"], ["arguments: -k 1"]),
        (["query", "notes", "-k", "--json", "cats"], ["argument -k: expected one argument"]),
        (["cache", "stats", "notes", "more"], ["arguments: more", "tiercel cache stats --help"]),
        (["demo", "more"], ["arguments: more", "tiercel demo --help"]),
        (["--bogus", "info"], ["arguments: --bogus", "tiercel --help"]),
        (["query", "--json"], ["required: DIR"]),
    ],
)
def test_what_is_not_known_is_refused(notes: Run, words: list[str], named: list[str]) -> None:
    refused(notes(*words), *named)


def test_help_tells_of_texts_that_begin_with_a_dash(notes: Run) -> None:
    assert "put -- before them if they begin with a dash" in " ".join(notes("query", "--help")[1].split())
