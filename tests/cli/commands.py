"""Run the command line inside the test process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiercel.cli import main

# Takes the words of a command; returns its exit code, stdout and stderr.
Run = Callable[..., tuple[int, str, str]]

RECORDS: list[dict[str, Any]] = [
    {"id": "cat", "text": "a cat sleeps", "metadata": {"legs": 4}, "vector": [1, 0, 0]},
    {"id": "hen", "text": "a hen lays eggs", "metadata": {"legs": 2}, "vector": [0, 1, 0]},
    {"id": "eel", "text": "an eel sleeps in mud", "vector": [0, 0, 1]},
    {"id": "owl"},
]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command and captures its output."""

    def command(*args: str) -> tuple[int, str, str]:
        try:
            code = main(args)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def document(result: tuple[int, str, str]) -> dict[str, Any]:
    """Return what a successful command printed with `--json`."""
    code, out, err = result
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(result: tuple[int, str, str], *words: str) -> None:
    """Check that the command was not run, and that one line with these words explains why."""
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("tiercel: error: ")
    for word in words:
        assert word in err


def write_lines(path: str | Path, records: list[dict[str, Any]]) -> None:
    """Write records as `tiercel ingest` reads them, with empty lines between."""
    Path(path).write_text("".join(json.dumps(record) + "\n\n" for record in records), encoding="utf-8")


def start(*args: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a new process, with stderr in a pipe."""
    return subprocess.Popen([sys.executable, "-m", "tiercel", *args], **({"stderr": subprocess.PIPE} | options))
