"""Runs the command line within the process of the tests."""

from collections.abc import Callable

import pytest

from tiercel.cli import main

# Takes the words of a command; gives its exit code, stdout and stderr.
Run = Callable[..., tuple[int, str, str]]


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
