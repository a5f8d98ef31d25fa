"""Standard output and error, whatever the shell has made of them."""

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class _Closed(io.TextIOBase):
    """Stands in for standard output where that was closed before the program began."""

    def __init__(self) -> None:
        self._lost = False

    def write(self, _: str, /) -> int:
        self._lost = True
        raise OSError(errno.EBADF, "standard output is closed")

    def flush(self) -> None:
        # Whoever wrote may have passed over the error, and Python flushes once more at exit.
        if self._lost:
            self._lost = False
            raise OSError(errno.EBADF, "standard output is closed")


def make_usable() -> None:
    """Have streams that can be used without another look: what is printed to a closed one (`>&-`) is an error, but for messages."""
    _hold_descriptors()
    # Python has None for a stream that was closed.
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    # Glosses and paths hold characters that a terminal may not know.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _hold_descriptors() -> None:
    """Take the numbers of closed streams, or the next file to be opened would get one and what is printed to it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def naming_output() -> Generator[None]:
    """What the system refuses meanwhile says that it was about standard output."""
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EBADF):
            error.filename = "standard output"
        raise


def flush_output() -> None:
    """Write what was printed; raise what goes wrong once."""
    try:
        with naming_output():
            sys.stdout.flush()
    except OSError:
        # Python would try again at exit and print a traceback.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def tell(message: str) -> None:
    """Print a line to standard error; nobody can be told that this fails."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)
