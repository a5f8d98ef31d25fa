"""The command line: `tiercel`, also `python -m tiercel`.

Each command is a module beside this one with a function `run(args)` that returns an `Answer`; it is imported when it is
asked for, so that `tiercel --help` does not wait for numpy.
"""

import importlib
import io
import json
import os
import sys
from collections.abc import Sequence

from tiercel.cli.arguments import make_parser
from tiercel.errors import InvalidInputError, MissingDependencyError, TiercelError

__all__ = ["main"]

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr."""
    # Glosses and paths hold characters that a terminal may not know.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(argv)
        finally:
            _flush()
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader, `head` perhaps, has what it wanted: nothing to complain about.
        return FAILED
    except (InvalidInputError, MissingDependencyError, FileNotFoundError) as error:
        return _complain(_describe(error), BAD_INPUT)
    except MemoryError as error:
        return _complain(f"not enough memory: {error}" if str(error) else "not enough memory", FAILED)
    except (TiercelError, OSError) as error:
        return _complain(_describe(error), FAILED)


def _run(argv: Sequence[str] | None) -> int:
    args = make_parser().parse_args(argv)
    answer = importlib.import_module(f"tiercel.cli.{args.command}").run(args)
    if args.json:
        print(json.dumps(answer.document, allow_nan=False))
    else:
        for line in answer.lines:
            print(line)
    return answer.code


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try again at exit and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _complain(message: str, code: int) -> int:
    print("tiercel: error:", " ".join(message.split()), file=sys.stderr)
    return code
