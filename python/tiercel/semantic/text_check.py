"""Decides whether two texts may mean the same, because near vectors are no proof.

"How do I enable this?" and "How do I disable this?" have nearer vectors than most questions of
equal meaning. Texts are therefore compared word by word. The verdict is

- *same* if they differ only in words that carry no meaning, such as "a" and "please";
- *different* if they differ in a negation, a number, a symbol of arithmetic or money, a name, a
  word that changes the question ("when", "must", "only"), or a word whose opposite is in the other
  text; or in the order of their common words, because dollars to euros is not euros to dollars;
- *grey* otherwise: they differ in words that the lists do not know, and only a judge that can read
  may accept them.

How common a word is does not matter, because that says nothing about its meaning. In an unknown
language every word counts. The comparison treats anything unknown as a difference, so it rejects
many texts that do mean the same. It proves nothing about the texts that it accepts, because it
knows no grammar.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar, cast, final

import numpy as np

from tiercel.errors import InvalidInputError
from tiercel.semantic.languages import Language, language_of

__all__ = ["Judge", "TextCheck", "Verdict", "Words", "compare", "words_of"]

Verdict: TypeAlias = Literal["same", "grey", "different"]
# Decides whether an answer to the second text answers the first.
Judge: TypeAlias = Callable[[str, str], bool]

_Near = TypeVar("_Near")

_WORD: Final = re.compile(
    r"(?<![^\W_])[-+]?[$€£]?[0-9][^\W_]*(?:[.,][0-9]+)*"  # a number, its sign and its currency: -5, +2.50, $20, 3rd
    r"|[^\W_]+(?:'[^\W_]+)*(?:[.,][0-9]+)*[+#]*"  # a word, or the name of a language: c++
    r"|[+#<>=$%€£]"
)
_SIGNS: Final = str.maketrans({"\u2019": "'", "\u2212": "-"})
_EXACT: Final = re.compile(r"[0-9+#<>=$%€£]")
# The first word of a sentence is capitalized anyway.
_BEGINNING: Final = re.compile(r"(?:^|[.!?:;\"(\n])\W*\Z")
_NOT: Final = "not"


class Words(NamedTuple):
    """The meaningful words of a text."""

    words: tuple[str, ...]
    """The words in lower case and in order. Any negation is `"not"`."""
    names: frozenset[str]
    """The words that are names, by their spelling."""


def words_of(text: str, language: Language) -> Words:
    """Split a text into its meaningful words.

    Examples
    --------
    >>> from tiercel.semantic.text_check import words_of
    >>> from tiercel.semantic.languages import LANGUAGES
    >>> words_of("Why doesn't the Ghent printer print 20 pages at -5 degrees?", LANGUAGES["english"])
    Words(words=('why', 'not', 'ghent', 'printer', 'print', '20', 'pages', 'at', '-5', 'degrees'), names=frozenset({'ghent'}))
    """
    text = text.translate(_SIGNS)
    plain = text.lower()
    for pattern, instead in language.rewritten:
        plain = pattern.sub(instead, plain)
    said = (_NOT if word in language.negations else word for word in _WORD.findall(plain))
    words = tuple(word for word in said if word not in language.empty)
    return Words(words, frozenset(_names(text, language)).intersection(words))


def _names(text: str, language: Language) -> Iterable[str]:
    for found in _WORD.finditer(text):
        word = found.group()
        begins = word[:1].isupper() and language.names_are_capital and not _BEGINNING.search(text, 0, found.start())
        # GmbH, iPhone.
        if begins or any(letter.isupper() for letter in word[1:]):
            yield from (word.lower(), word.lower().partition("'")[0])


def compare(one: Words, other: Words, language: Language) -> Verdict:
    """Compare two texts."""
    if one.words == other.words:
        return "same"
    first, second = frozenset(one.words), frozenset(other.words)
    mine, theirs = first - second, second - first
    apart = mine | theirs
    if any(_tells(word, language) for word in apart) or apart & (one.names | other.names):
        return "different"
    if language.are_opposite(mine, theirs) or _among(one.words, second) != _among(other.words, first):
        return "different"
    return "grey" if apart else "same"


def _tells(word: str, language: Language) -> bool:
    return word == _NOT or word in language.telling or _EXACT.search(word) is not None


def _among(words: Iterable[str], others: frozenset[str]) -> list[str]:
    return [word for word in words if word in others]


@final
class TextCheck:
    """Decides for a cache whether the answer to one text answers another.

    Parameters
    ----------
    language
        The language of the texts, by name; None if unknown.
    verify
        Called for texts in the grey zone. With None, none of them pass.

    Raises
    ------
    InvalidInputError
        The language is not supported, or `verify` is not callable.
    """

    __slots__ = ("_judge", "_language")

    def __init__(self, language: object, verify: object) -> None:
        if verify is not None and not callable(verify):
            raise InvalidInputError(f"verify: expected a callable (text, earlier_text) -> bool, got {verify!r:.100}")
        self._language, self._judge = language_of(language), verify

    def first(self, text: str | None, near: Iterable[_Near], text_of: Callable[[_Near], str | None]) -> _Near | None:
        """Return the first whose answer answers this text; raise what `verify` raises."""
        # A generator would turn a StopIteration of `verify` into a RuntimeError.
        for each in near:
            if self.lets_pass(text, text_of(each)):
                return each
        return None

    def lets_pass(self, text: str | None, earlier: str | None) -> bool:
        """Whether an answer to an earlier text answers this one.

        Two queries without texts pass; one with and one without do not. Raise `InvalidInputError`
        if `verify` returns anything but a bool, and anything that `verify` raises.
        """
        if text is None or earlier is None:
            return text is earlier
        verdict = compare(words_of(text, self._language), words_of(earlier, self._language), self._language)
        return verdict == "same" or (verdict == "grey" and self._judge is not None and self._judges(text, earlier))

    def _judges(self, text: str, earlier: str) -> bool:
        told: object = self._judge(text, earlier) if self._judge is not None else False
        # Almost any score would count as true.
        if not isinstance(told, bool | np.bool_):
            raise InvalidInputError(
                f"verify: expected a callable that returns a bool, such as score > 0.9, got {told!r:.100}"
            )
        return bool(cast("bool", told))
