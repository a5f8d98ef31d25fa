"""A progress bar on stderr, for a person who waits."""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

_WIDTH = 30
# A shorter bar shows less than the numbers beside it.
_LEAST = 5
_PAUSE = 0.1
# Columns if the terminal does not report them.
_COLUMNS = 80


@contextmanager
def progress(label: str) -> Generator[Callable[[int, int], None] | None]:
    """Yield a callable `(done, total)` that draws a bar.

    Yield None if stderr is not a terminal that can erase a line. A total of 0 means unknown.
    """
    is_dumb = os.name != "nt" and os.environ.get("TERM", "") in ("", "dumb")
    if is_dumb or not sys.stderr.isatty():
        yield None
        return
    start = drawn = time.monotonic()

    def draw(done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < _PAUSE and not 0 < total <= done:
            return
        drawn = now
        _print(_bar(label, done, total, now - start, _columns()))

    try:
        yield draw
    finally:
        _print("")


def _bar(label: str, done: int, total: int, seconds: float, columns: int) -> str:
    """Return a bar that fits into a line.

    The last column stays free, because some terminals begin a new line when it is filled.
    """
    room = columns - 1
    if total == 0:
        return f"{label} {done:,}"[:room]
    share = done / total
    left = f", {seconds / share - seconds:.0f} s left" if 0 < share < 1 else ""
    numbers = f"{done:,} of {total:,}{left}"
    width = min(_WIDTH, room - len(f"{label} [] {numbers}"))
    if width < _LEAST:
        return f"{label} {numbers}"[:room]
    return f"{label} [{('#' * round(share * width)).ljust(width, '.')}] {numbers}"


def _columns() -> int:
    try:
        # Some terminals report 0.
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _print(line: str) -> None:
    # A closed terminal must not end the work.
    with suppress(OSError):
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
