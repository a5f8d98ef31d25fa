"""Text from files and records, made safe to print.

The contents of a record must not break the row that they are printed in, nor reach a terminal as a
command: an escape sequence can hide text, set the title, or fill the clipboard.
"""

import re

# Control characters, separators of lines and paragraphs, and marks that change the direction of
# text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROLS_BUT_TAB = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def cell(text: str) -> str:
    r"""Escape a text for a row: `cell("a\tb\x1b")` is `r"a\tb\x1b"`."""
    return _CONTROLS.sub(_escaped, text)


def row(line: str) -> str:
    """Escape a line, except for the tabs between its cells."""
    return line if line.isprintable() else _CONTROLS_BUT_TAB.sub(_escaped, line)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
