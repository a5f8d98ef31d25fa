"""Makes standard output and error usable, even if the shell has closed them."""

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class _Closed(io.TextIOBase):
    """Replaces a standard output that was closed before the program began."""

    def __init__(self) -> None:
        self._lost = False

    def write(self, _: str, /) -> int:
        self._lost = True
        raise OSError(errno.EBADF, "standard output is closed")

    def flush(self) -> None:
        # The writer may have ignored the error, and Python flushes again at exit.
        if self._lost:
            self._lost = False
            raise OSError(errno.EBADF, "standard output is closed")


def make_usable() -> None:
    """Make both streams usable.

    Printing to a closed standard output (`>&-`) is an error. Messages to a closed standard error
    are dropped.
    """
    _hold_descriptors()
    # Python sets a closed stream to None.
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    # Glosses and paths may have characters that a terminal cannot encode.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _hold_descriptors() -> None:
    """Occupy the descriptors of closed streams.

    Otherwise the next opened file would get one of them, and the output with it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def naming_output() -> Generator[None]:
    """Make errors of the system within the block name standard output."""
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EBADF):
            error.filename = "standard output"
        raise


def flush_output() -> None:
    """Write what was printed. Raise an error only once."""
    try:
        with naming_output():
            sys.stdout.flush()
    except OSError:
        # Python would try again at exit and print a traceback.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def tell(message: str) -> None:
    """Print a line to standard error. A failure is ignored, because nothing can report it."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)
