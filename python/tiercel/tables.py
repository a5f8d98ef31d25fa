"""HTML tables of results, for Jupyter."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Final

__all__ = ["html_table"]

ROWS: Final = 50
"""Rows shown."""
WIDTH: Final = 120
"""Characters shown of a cell."""


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> str:
    """Make a table of the first of `count` rows, with all text escaped."""
    parts = ["<table><caption>", escape(caption), "</caption><thead><tr>"]
    parts += [f"<th>{escape(name)}</th>" for name in head]
    parts.append("</tr></thead><tbody>")
    for row in islice(rows, ROWS):
        parts += ["<tr>", *(f"<td>{escape(_shown(cell))}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    if count > ROWS:
        parts.append(f"<p>and {count - ROWS:,} more</p>")
    return "".join(parts)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return textwrap.shorten(text, WIDTH, placeholder=" ...")
