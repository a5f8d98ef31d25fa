"""Runs the command line within the process of the tests."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiercel.cli import main

# Takes the words of a command; gives its exit code, stdout and stderr.
Run = Callable[..., tuple[int, str, str]]

RECORDS: list[dict[str, Any]] = [
    {"id": "cat", "text": "a cat sleeps", "metadata": {"legs": 4}, "vector": [1, 0, 0]},
    {"id": "hen", "text": "a hen lays eggs", "metadata": {"legs": 2}, "vector": [0, 1, 0]},
    {"id": "eel", "text": "an eel sleeps in mud", "vector": [0, 0, 1]},
    {"id": "owl"},
]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """What runs a command and catches what it prints."""

    def command(*args: str) -> tuple[int, str, str]:
        try:
            code = main(args)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def document(result: tuple[int, str, str]) -> dict[str, Any]:
    """What a command that succeeded printed with `--json`."""
    code, out, err = result
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(result: tuple[int, str, str], *words: str) -> None:
    """The command was not run, and one line says why, with these words in it."""
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("tiercel: error: ")
    for word in words:
        assert word in err


def write_lines(path: str | Path, records: list[dict[str, Any]]) -> None:
    """Records as `tiercel ingest` reads them, with empty lines between."""
    Path(path).write_text("".join(json.dumps(record) + "\n\n" for record in records), encoding="utf-8")


def start(*args: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own, whose errors come through a pipe."""
    return subprocess.Popen([sys.executable, "-m", "tiercel", *args], **({"stderr": subprocess.PIPE} | options))
