"""The word lists of a language."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["UNKNOWN", "Language", "both_ways"]

_Sides = Mapping[str, frozenset[str]]


def both_ways(pairs: str) -> _Sides:
    """Parse pairs of opposites: every word before a slash is the opposite of each word after it."""
    known: defaultdict[str, set[str]] = defaultdict(set)
    for pair in filter(None, pairs.split(", ")):
        before, behind = (side.split() for side in pair.split("/"))
        for one in before:
            for other in behind:
                known[one].add(other)
                known[other].add(one)
    return {word: frozenset(others) for word, others in known.items()}


@dataclass(frozen=True, slots=True)
class Language:
    """The word lists of a language, in lower case.

    In an unknown language every word counts, and no word has an opposite.
    """

    empty: frozenset[str] = frozenset()
    """Words that carry no meaning: two texts that differ only in them mean the same."""
    negations: frozenset[str] = frozenset()
    telling: frozenset[str] = frozenset()
    """Words that change the question: question words, tenses, duties, numbers, days."""
    rewritten: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Replacements, such as for contractions, before a text is split into words."""
    opposites: _Sides = field(default_factory=dict[str, frozenset[str]])
    negating: tuple[str, ...] = ()
    """Prefixes that make the opposite of a word."""
    beginnings: _Sides = field(default_factory=dict[str, frozenset[str]])
    """Pairs of prefixes that make opposites of one stem."""
    endings: _Sides = field(default_factory=dict[str, frozenset[str]])
    inflections: tuple[str, ...] = ()
    """Endings of inflected forms."""
    stems: tuple[str, ...] = ("",)
    """Endings of the forms in the lists."""
    names_are_capital: bool = True
    """Whether a capitalized word within a sentence is a name."""

    def are_opposite(self, mine: Iterable[str], theirs: Iterable[str]) -> bool:
        """Whether a word of one text is the opposite of a word of the other, in any form.

        Examples
        --------
        >>> from tiercel.semantic.languages import LANGUAGES
        >>> english = LANGUAGES["english"]
        >>> english.are_opposite(["is", "enabled"], ["disabling"]), english.are_opposite(["stopped"], ["starts"])
        (True, True)
        >>> english.are_opposite(["cat"], ["hen"])
        False
        """
        known = {form for word in theirs for form in self._forms(word)}
        return any(not known.isdisjoint(self._opposites(form)) for word in mine for form in self._forms(word))

    def _forms(self, word: str) -> set[str]:
        """Return the possible base forms of a word: stopped, stopp, stop; enabling, enabl, enable."""
        forms = {word}
        for ending in self.inflections:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) > 1:
                forms |= {stem + each for each in self.stems}
                if stem[-1] == stem[-2]:
                    forms.add(stem[:-1])
                if stem[-1] == "i":
                    forms.add(stem[:-1] + "y")
        return forms

    def _opposites(self, word: str) -> set[str]:
        """Return the possible opposites of a word."""
        found = {*self.opposites.get(word, ())}
        for prefix in self.negating:
            found.add(prefix + word)
            if word.startswith(prefix):
                found.add(word.removeprefix(prefix))
        for begun, others in self.beginnings.items():
            if word.startswith(begun):
                found |= {other + word.removeprefix(begun) for other in others}
        for ended, others in self.endings.items():
            if word.endswith(ended):
                found |= {word.removesuffix(ended) + other for other in others}
        return found


UNKNOWN: Final = Language(names_are_capital=False)
