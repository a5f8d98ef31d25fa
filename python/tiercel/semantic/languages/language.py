"""What is known of a language."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["UNKNOWN", "Language", "both_ways"]

_Sides = Mapping[str, frozenset[str]]


def both_ways(pairs: str) -> _Sides:
    """Opposites as they are written down: every word before a slash is the opposite of each behind it."""
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
    """Words of a language, in lower case. Of one that nothing is known of, every word says something, and none is the opposite of another."""

    empty: frozenset[str] = frozenset()
    """Words that say nothing: two texts may differ in them and mean the same."""
    negations: frozenset[str] = frozenset()
    telling: frozenset[str] = frozenset()
    """Words that change what is asked for: questions, tenses, duties, numbers, days."""
    rewritten: tuple[tuple[re.Pattern[str], str], ...] = ()
    """What stands for what, such as shortened words, before a text is taken apart."""
    opposites: _Sides = field(default_factory=dict[str, frozenset[str]])
    negating: tuple[str, ...] = ()
    """What makes the opposite of a word that it stands before."""
    beginnings: _Sides = field(default_factory=dict[str, frozenset[str]])
    """Beginnings that make opposites of one rest."""
    endings: _Sides = field(default_factory=dict[str, frozenset[str]])
    inflections: tuple[str, ...] = ()
    """Endings of the forms of a word."""
    stems: tuple[str, ...] = ("",)
    """Endings of the form that the lists have."""
    names_are_capital: bool = True
    """Whether a word that begins with a capital within a sentence is a name."""

    def are_opposite(self, mine: Iterable[str], theirs: Iterable[str]) -> bool:
        """Whether a word of one text is the opposite of a word of the other, in any of its forms.

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
        """What a word may be a form of: stopped, stopp, stop; enabling, enabl, enable."""
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
        """The words that would be the opposite of one."""
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
