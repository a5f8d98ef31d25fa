"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest
from commands import RECORDS, Run, runner, write_lines


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty directory; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def zoo_file(run: Run) -> None:
    """Write `zoo.jsonl` into the directory that `run` works in."""
    write_lines("zoo.jsonl", RECORDS)
