"""The output of a command, for programs and for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The document that `--json` prints, and the lines that are printed without it."""

    document: dict[str, Any]
    lines: Iterable[str]
    code: int = 0
    """The exit code."""


def size(count: float) -> str:
    """Format a number of bytes: `size(2_621_440)` is `"2.5 MiB"`."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
