"""The command line on a pseudo-terminal: narrow, dumb or gone, with Ctrl-C and hostile records."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from commands import Run, runner, write_lines

import tiercel
from tiercel.cli import measure
from tiercel.cli.interrupts import interruptible
from tiercel.cli.printable import cell, row

pytest.importorskip("pty")

from terminals import CTRL_C, Terminal, shown

# Erases the line before each state of a bar.
ERASE = "\r\x1b[K"
# An id with a newline and a window title, and a text that clears the screen and reverses text.
HOSTILE = {"id": "a\tb\nc\x1b]0;mine\x07", "text": "cats\x1b[2J \u202edogs\u2029\u200e\u200f\u061c \x9b31m"}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def zoo(run: Run) -> None:
    """A collection of some records."""
    write_lines("zoo.jsonl", [{"id": f"animal {number}"} for number in range(1500)])
    run("ingest", "zoo.jsonl", "--into", "zoo")


def states(out: str) -> list[str]:
    """The successive states of a bar."""
    before, *all_, after = out.split(ERASE)
    # The line is empty at the end, and nothing began a new one.
    assert (before, after, "\n" in out) == ("", "", False)
    return all_


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(("columns", "bar"), [(1, False), (20, False), (40, True), (80, True)])
def test_progress_stays_in_its_line(columns: int, bar: bool) -> None:
    with Path("report").open("wb") as report:
        code, out = shown("export", "zoo", "-o", "out.jsonl", columns=columns, stdout=report)
    assert code == 0
    assert all(len(state) < columns for state in states(out))
    assert ("#" in out) == bar
    assert ("1,500 of 1,500" in out) == bar


def test_progress_of_a_pipe_has_no_total() -> None:
    write_lines("zoo.jsonl", [{"id": f"animal {number}"} for number in range(5000)])
    with Path("report").open("wb") as report:
        code, out = shown("ingest", "zoo.jsonl", "--into", "zoo", columns=40, stdout=report)
        assert code == 0
        assert " of " in states(out)[-1]
        assert max(map(len, states(out))) < 40
        with Path("zoo.jsonl").open("rb") as lines:
            code, out = shown("ingest", "-", "--into", "zoo", stdin=lines, stdout=report)
    assert code == 0
    assert all(re.fullmatch(r"ingesting [\d,]+", state) for state in states(out))


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_no_escapes(term: str) -> None:
    write_lines("zoo.jsonl", [{"id": "cat", "text": "a cat"}])
    code, out = shown("ingest", "zoo.jsonl", "--into", "zoo", term=term)
    assert code == 0
    assert "1 records written" in out
    assert not re.search("[\x1b\r]", out)


def test_what_records_hold_breaks_no_row_and_does_not_reach_the_terminal(run: Run) -> None:
    tiercel.open("zoo", schema={"a\x1b[31m\n": int}).close()
    write_lines("zoo.jsonl", [HOSTILE, {"id": "plain", "text": "no cats"}])
    run("ingest", "zoo.jsonl", "--into", "zoo")
    for args in (["stats", "zoo"], ["query", "zoo", "cats"]):
        code, out = shown(*args)
        assert code == 0
        assert out == run(*args)[1]
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2029\u202e]", out)
    head, *table = out.splitlines()
    assert [len(line.split("\t")) for line in (head, *table)] == [4, 4, 4]
    assert {line.split("\t")[1] for line in table} == {r"a\tb\nc\x1b]0;mine\x07", "plain"}


def test_errors_do_not_reach_the_terminal_either(run: Run) -> None:
    Path("\x1b[31m.jsonl").write_text(json.dumps({"id": "a\x1b[31m", "\x1b[2J": 1}), encoding="utf-8")
    commands = (
        ["info", "\x1b[31m"],
        ["info", "--\x1b[31m"],
        ["\x1b[31m"],
        ["ingest", "\x1b[31m.jsonl", "--into", "zoo"],
        ["ingest", "a\x1b[31m.jsonl", "--into", "zoo"],
        ["stats", "a\x1b[31m"],
        ["export", "zoo", "-o", "a\x1b[31m/b"],
        ["cache", "stats", "\x1b[31m"],
    )
    for args in commands:
        code, _, err = run(*args)
        assert (code, err.count("\n")) == (2, 1)
        assert "\x1b" not in err
        assert r"\x1b[31m" in err
    assert shown(*commands[0]) == (2, run(*commands[0])[2])


def test_text_of_all_languages_is_shown_as_it_is() -> None:
    assert cell("gr\u00fcn, \u732b\u3000\u5bdd\u308b, \U0001f468\u200d\U0001f469, C:\\cats") == (
        "gr\u00fcn, \u732b\u3000\u5bdd\u308b, \U0001f468\u200d\U0001f469, C:\\cats"
    )
    assert row("a\tb\rc") == "a\tb\\rc"


def closed(streams: str, *args: str) -> tuple[int, str]:
    """Run a command with streams that the shell closes."""
    with Terminal("/bin/sh", "-c", f'exec "$0" -m tiercel "$@" {streams}', sys.executable, *args) as terminal:
        return terminal.end()


@pytest.mark.parametrize(
    ("streams", "args", "out"),
    [
        (">&-", ["info"], "tiercel: error: standard output is closed\n"),
        (">&-", ["info", "--json"], "tiercel: error: standard output is closed\n"),
        (">&-", ["--help"], "tiercel: error: standard output is closed\n"),
        ("<&- >&- 2>&-", ["info"], ""),
    ],
)
def test_a_closed_output_is_one_line(streams: str, args: list[str], out: str) -> None:
    assert closed(streams, *args) == (1, out)


def test_a_closed_standard_error_hides_errors_and_nothing_else() -> None:
    assert closed("2>&-", "info", "none") == (2, "")
    code, out = closed("2>&-", "info")
    assert code == 0
    assert out.startswith("tiercel ")


def test_files_are_whole_though_all_streams_are_closed() -> None:
    np.save("v.npy", np.eye(4))
    assert closed("<&- >&- 2>&-", "build", "v.npy", "-o", "index") == (1, "")
    assert len(tiercel.Index.load("index")) == 4
    write_lines("zoo.jsonl", [{"id": "cat"}])
    assert closed("<&- >&- 2>&-", "ingest", "zoo.jsonl", "--into", "zoo") == (1, "")
    assert closed("<&- >&- 2>&-", "export", "zoo", "-o", "out.jsonl") == (1, "")
    assert Path("out.jsonl").read_text(encoding="ascii") == '{"id": "cat"}\n'


def test_bench_on_two_vectors_ends() -> None:
    np.save("v.npy", np.eye(2))
    code, out = shown("bench", "v.npy")
    assert code == 0
    assert "recall@1" in out


def test_speed_is_measured_in_few_passes() -> None:
    calls = 0

    def search() -> None:
        nonlocal calls
        calls += 1
        if calls > measure.MOST_PASSES:
            raise AssertionError("enough is known")

    assert measure.queries_per_second(search, 1) > 0
    assert calls >= measure.PASSES


def lines(first: int, count: int) -> bytes:
    return b"".join(b'{"id": "%d", "text": "%s"}\n' % (number, b"x" * 500) for number in range(first, first + count))


def feed(terminal: Terminal, data: bytes) -> None:
    """Send data to a command; on return, it has read everything but what a pipe holds."""
    assert terminal.process.stdin is not None
    terminal.process.stdin.write(data)
    terminal.process.stdin.flush()


def test_ctrl_c_ends_an_ingest_without_more_work() -> None:
    with Terminal(sys.executable, "-m", "tiercel", "ingest", "-", "--into", "zoo", stdin=subprocess.PIPE) as terminal:
        # The third batch is incomplete, and larger than a pipe, so the first two have been read.
        feed(terminal, lines(0, 2999))
        terminal.press(CTRL_C)
        code, out = terminal.end()
    assert code == 130
    last = out.split(ERASE)[-1].removeprefix("^C")
    assert (
        last
        == "tiercel: error: interrupted; 2,000 records of standard input are in the collection; add --resume to the command to continue\n"
    )
    # Closing would have written a checkpoint, which takes seconds if there are many records.
    assert not list(Path("zoo").glob("*.seg"))
    with tiercel.open("zoo", mode="r") as zoo:
        assert (len(zoo), zoo.verify()) == (2000, [])


def test_ctrl_c_before_the_first_batch_leaves_nothing() -> None:
    with Terminal(sys.executable, "-m", "tiercel", "ingest", "-", "--into", "zoo", stdin=subprocess.PIPE) as terminal:
        feed(terminal, lines(0, 900))
        terminal.press(CTRL_C)
        code, out = terminal.end()
    assert code == 130
    assert out.endswith("tiercel: error: interrupted\n")
    assert not Path("zoo").exists()


def test_what_takes_long_is_left_at_ctrl_c() -> None:
    ends = threading.Event()

    def takes_long() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ends.wait()

    with pytest.raises(KeyboardInterrupt):
        interruptible(takes_long)
    ends.set()
    assert interruptible(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)


def test_ctrl_c_while_a_collection_is_made_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def open_slowly(path: str, *_: object, **__: object) -> None:
        Path(path).mkdir()
        Path(path, "log-1").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGINT)
        goes_on.wait()

    write_lines("zoo.jsonl", [{"id": "cat"}])
    monkeypatch.setattr(tiercel, "open", open_slowly)
    assert run("ingest", "zoo.jsonl", "--into", "zoo") == (130, "", "tiercel: error: interrupted\n")
    goes_on.set()
    assert not Path("zoo").exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_backup_that_is_left_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    tiercel.open("zoo").close()
    if is_there:
        Path("copy").mkdir()
    goes_on = threading.Event()

    def backup(_: object, path: str) -> None:
        Path(path).mkdir(exist_ok=True)
        Path(path, "log-1").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGINT)
        goes_on.wait()

    monkeypatch.setattr(tiercel.Collection, "backup", backup)
    assert run("backup", "zoo", "copy") == (130, "", "tiercel: error: interrupted\n")
    goes_on.set()
    assert Path("copy").exists() == is_there
    assert not is_there or list(Path("copy").iterdir()) == []


@pytest.mark.parametrize(("command", "method"), [("compact", "compact"), ("verify", "verify")])
def test_ctrl_c_leaves_what_a_collection_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, method: str
) -> None:
    tiercel.open("zoo").close()
    goes_on = threading.Event()

    def takes_long(_: object, **_options: object) -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        goes_on.wait()
        return []

    monkeypatch.setattr(tiercel.Collection, method, takes_long)
    assert run(command, "zoo") == (130, "", "tiercel: error: interrupted\n")
    goes_on.set()
