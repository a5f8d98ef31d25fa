"""The command line: `tiercel`, also `python -m tiercel`.

Each command is a module of this package with a function `run(args)` that returns an `Answer`. It is
imported only when it runs, so that `tiercel --help` does not wait for numpy.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from tiercel.cli.arguments import make_parser
from tiercel.cli.interrupts import end_now
from tiercel.cli.paths import check_paths
from tiercel.cli.printable import cell, row
from tiercel.cli.standard import flush_output, make_usable, naming_output, tell
from tiercel.errors import InvalidInputError, MissingDependencyError, TiercelError

__all__ = ["console", "main"]

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def console() -> NoReturn:
    """Run the command line of the process, and end the process."""
    try:
        code = main()
    except KeyboardInterrupt:
        # A second Ctrl-C, while the first one was being handled.
        code = INTERRUPTED
    end_now(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An error prints one line on stderr."""
    make_usable()
    try:
        try:
            return _run(argv)
        finally:
            flush_output()
    except KeyboardInterrupt as interrupt:
        return _complain("; ".join(["interrupted", *_notes(interrupt)]), INTERRUPTED)
    except BrokenPipeError:
        # The reader, perhaps `head`, has read enough. That needs no message.
        return FAILED
    except (InvalidInputError, MissingDependencyError, FileNotFoundError) as error:
        return _complain(_describe(error), BAD_INPUT)
    except MemoryError as error:
        return _complain(": ".join([*_notes(error), "not enough memory", *map(str, error.args)]), FAILED)
    except (TiercelError, OSError) as error:
        return _complain(_describe(error), FAILED)


def _run(argv: Sequence[str] | None) -> int:
    args = make_parser().parse_args(argv)
    check_paths(args)
    answer = importlib.import_module(f"tiercel.cli.{args.command}").run(args)
    if args.json:
        print(json.dumps(answer.document, allow_nan=False))
    else:
        for line in answer.lines:
            with naming_output():
                print(row(line))
    return answer.code


def _describe(error: Exception) -> str:
    return ": ".join([*_notes(error), _message(error)])


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _notes(error: BaseException) -> list[str]:
    """Return the notes of an error, which say where it occurred."""
    return getattr(error, "__notes__", [])


def _complain(message: str, code: int) -> int:
    tell(f"tiercel: error: {cell(' '.join(message.split()))}")
    return code
