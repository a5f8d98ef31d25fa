"""Whether two texts may mean the same: near vectors are no proof.

"How do I enable this?" and "How do I disable this?" lie closer together than most questions that mean the same. So an answer is
never passed on to a text that differs from its own in

- a negation, a number, a symbol of arithmetic or money, a direction ("on", "to", "up") or what is asked for ("when", "where"),
- a word that has its opposite in the other, see `tiercel.semantic.opposites`,
- a *rare* word: one that fewer than one in twenty texts had so far, and fewer than ten, which is what a question is about more often
  than not. Before a hundred texts were seen, all words are rare,
- or the order of the words that both have: dollars to euros are not euros to dollars.

It takes what it does not know for a difference, and so refuses much that does mean the same. Nor is it proof of anything that it lets
pass: "can I pay" and "I can pay" differ in no word.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final, TypeAlias, final

from tiercel.forks import fork_lock
from tiercel.semantic.opposites import are_opposite

__all__ = ["Gate", "Gates", "Words", "content_words"]

# The content words of a text, in their order.
Words: TypeAlias = tuple[str, ...]

_WORD: Final = re.compile(
    r"(?<![^\W_])[-+]?[$€]?[0-9][^\W_]*(?:[.,][0-9]+)*"  # a number, its sign and its currency: -5, +2.50, $20, 3rd
    r"|[^\W_]+(?:'[^\W_]+)*(?:[.,][0-9]+)*[+#]*"  # a word, or the name of a language: c++
    r"|[+#<>=$%€]"
)
_SIGNS: Final = str.maketrans({"\u2019": "'", "\u2212": "-"})

# Words that carry grammar rather than content.
_GRAMMAR: Final = (
    "a about also am an and any are as at be been being but by can could did do does doing done else for get "
    "give go had has have here i if is it its itself just kindly let like made make may me might mine must my of or our "
    "ours please quite shall should since so some tell than that the their theirs them then there these they this "
    "those though through too us very was we were while will with would you your yours i'm i'd i'll i've it's "
    "that's there's let's you're you'd you'll you've we're we'd we'll we've they're they'd they'll they've"
)
_NEGATIVE: Final = "no not never none nobody nothing nowhere neither nor without cannot lack lacks lacking"
# Short and common words that turn a question into another one.
_TELLING_WORDS: Final = (
    "not on off in out to from into onto up down when where who whom whose what why how which he him his she her hers"
)
_EMPTY: Final = frozenset(_GRAMMAR.split())
_NEGATIONS: Final = frozenset(_NEGATIVE.split())
_NEGATED: Final = re.compile(r"n't$")
_TELLING: Final = frozenset(_TELLING_WORDS.split())
# What's, who'll, she's.
_SHORTENED: Final = re.compile(r"'(?:s|d|ll|re|ve)$")
_EXACT: Final = re.compile(r"[0-9+#<>=$%€]")

# Texts before which all words are rare.
FIRST: Final = 100
# Texts that a common word was in, at least, and their share.
COMMON: Final = 10
SHARE: Final = 0.05
# Words that are counted over all users, and users, at most.
MOST: Final = 50_000
USERS: Final = 1000


def content_words(text: str) -> Words:
    """The words of a text that carry its content, in lower case and in their order; a negation of any form is `"not"`.

    Examples
    --------
    >>> from tiercel.semantic.gate import content_words
    >>> content_words("Why doesn't the C++ printer print 20 pages at -5 degrees?")
    ('why', 'not', 'c++', 'printer', 'print', '20', 'pages', '-5', 'degrees')
    """
    plain = (_plain(word) for word in _WORD.findall(text.lower().translate(_SIGNS)))
    return tuple(word for word in plain if word not in _EMPTY)


def _plain(word: str) -> str:
    if word in _NEGATIONS or _NEGATED.search(word):
        return "not"
    whole = _SHORTENED.sub("", word)
    return whole if whole in _TELLING else word


@final
class Gate:
    """Tells rare words from common ones, by the texts that it was shown."""

    __slots__ = ("_counts", "_last", "_texts")

    def __init__(self) -> None:
        # By hash, so that a long word takes no more room than a short one.
        self._counts: Counter[int] = Counter()
        self._texts = 0
        self._last: int | None = None

    def __len__(self) -> int:
        return len(self._counts)

    def show(self, words: Words) -> None:
        """Count the content words of a text that was asked; asked twice in a row, it says nothing new."""
        shown = hash(words)
        if shown == self._last:
            return
        self._last = shown
        self._texts += 1
        self._counts.update(set(map(hash, words)))

    def forget(self) -> None:
        """Halve all counts, so that words that were seen once are gone."""
        self._texts //= 2
        self._counts = Counter({word: count // 2 for word, count in self._counts.items() if count > 1})

    def lets_pass(self, one: Words | None, other: Words | None) -> bool:
        """Whether an answer to one text may answer another; two queries without texts pass, one beside a text does not."""
        if one is None or other is None:
            return one is other
        if one == other:
            return True
        first, second = frozenset(one), frozenset(other)
        if any(map(self._matters, first ^ second)) or are_opposite(first - second, second - first):
            return False
        return _among(one, second) == _among(other, first)

    def _matters(self, word: str) -> bool:
        is_rare = self._texts < FIRST or self._counts[hash(word)] < max(COMMON, SHARE * self._texts)
        return is_rare or word in _TELLING or _EXACT.search(word) is not None


def _among(words: Iterable[str], others: frozenset[str]) -> list[str]:
    return [word for word in words if word in others]


@final
class Gates:
    """A gate for each user, all of them within one bound; whose user has not asked for longest is forgotten first."""

    def __init__(self) -> None:
        self._gates: OrderedDict[str, Gate] = OrderedDict()
        self._words = 0
        self._lock = fork_lock()

    def shown(self, user: str, words: Words | None) -> Gate:
        """The gate of a user, which has seen these words."""
        with self._lock:
            gate = self._gates.setdefault(user, Gate())
            self._gates.move_to_end(user)
            before = len(gate)
            if words is not None:
                gate.show(words)
            self._words += len(gate) - before
            while len(self._gates) > 1 and (self._words > MOST or len(self._gates) > USERS):
                self._words -= len(self._gates.popitem(last=False)[1])
            while self._words > MOST:
                gate.forget()
                self._words = len(gate)
            return gate

    def clear(self) -> None:
        """Forget all words."""
        with self._lock:
            self._gates.clear()
            self._words = 0
