"""Sorts the words of a command: `argparse` requires all words that are not options in one place."""

import argparse
import re
from collections.abc import Mapping, Sequence

# As in `argparse`: these are values, although they begin with a dash.
_NEGATIVE_NUMBER = re.compile(r"-(\d+|\d*\.\d+)")


def options_first(words: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """Return the command with options and their values first, then `--` and the other words."""
    first: list[str] = []
    others: list[str] = []
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        if not _is_option(word, options):
            others.append(word)
            at += 1
            continue
        end = at + 1
        most = _most_values(word, options)
        while end < len(words) and end - at <= most and words[end] != "--" and not _is_option(words[end], options):
            end += 1
        first += words[at:end]
        at = end
    others += words[at + 1 :]
    return [*first, "--", *others] if others else first


def _is_option(word: str, options: Mapping[str, argparse.Action]) -> bool:
    if word in options or word.partition("=")[0] in options:
        return True
    # Several words in one argument are a text, even if they begin with a dash.
    return word.startswith("-") and word != "-" and " " not in word and not _NEGATIVE_NUMBER.fullmatch(word)


def _most_values(word: str, options: Mapping[str, argparse.Action]) -> float:
    """Return how many of the following words may be values of an option."""
    action = options.get(word)
    if action is None:
        # It is unknown, or includes its value: `--metric=dot`, `-k5`.
        return 0
    if action.nargs is None:
        return 1
    return action.nargs if isinstance(action.nargs, int) else float("inf")
