"""The order of the words of a command: `argparse` wants all words that are no options in one place."""

import argparse
import re
from collections.abc import Mapping, Sequence

# As `argparse` has it: these are values, though they begin with a dash.
_NEGATIVE_NUMBER = re.compile(r"-(\d+|\d*\.\d+)")


def options_first(words: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """The same command with options and their values first, then `--` and the other words in their order."""
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
    # A text of several words that begins with a dash is a text.
    return word.startswith("-") and word != "-" and " " not in word and not _NEGATIVE_NUMBER.fullmatch(word)


def _most_values(word: str, options: Mapping[str, argparse.Action]) -> float:
    """How many of the words that follow may be values of an option."""
    action = options.get(word)
    if action is None:
        # It is unknown, or has its value in itself: `--metric=dot`, `-k5`.
        return 0
    if action.nargs is None:
        return 1
    return action.nargs if isinstance(action.nargs, int) else float("inf")
