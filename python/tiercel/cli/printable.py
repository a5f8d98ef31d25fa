"""Text from files and records, made safe to print.

What a record holds must not break the row that it is printed in, nor reach a terminal as a command: an escape sequence can hide text, set
the title, or fill the clipboard.
"""

import re

# Control characters, what separates lines and paragraphs, and what turns the direction of the text around it.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROLS_BUT_TAB = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def cell(text: str) -> str:
    r"""A text as a part of a row: `cell("a\tb\x1b")` is `r"a\tb\x1b"`."""
    return _CONTROLS.sub(_escaped, text)


def row(line: str) -> str:
    """A line of which nothing but tabs between cells is left as it is."""
    return line if line.isprintable() else _CONTROLS_BUT_TAB.sub(_escaped, line)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
