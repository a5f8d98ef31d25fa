"""A progress bar on stderr, for a person who waits."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

_WIDTH = 30
_PAUSE = 0.1


@contextmanager
def progress(label: str) -> Generator[Callable[[int, int], None] | None]:
    """Give a callable `(done, total)` that draws a bar, or None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    start = drawn = time.monotonic()

    def draw(done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if total == 0 or (now - drawn < _PAUSE and done < total):
            return
        drawn = now
        share = done / total
        left = f", {(now - start) / share - (now - start):.0f} s left" if 0 < share < 1 else ""
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
        print(f"\r\x1b[K{label} [{bar}] {done:,} of {total:,}{left}", end="", file=sys.stderr, flush=True)

    try:
        yield draw
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
