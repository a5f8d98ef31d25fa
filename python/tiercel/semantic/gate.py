"""Whether two texts may mean the same: near vectors are no proof.

"How do I enable this?" and "How do I disable this?" lie closer together than most questions that mean the same. So an answer is
never passed on to a text that differs from its own in a negation, a number, a word that has its opposite in the other, or a *rare* word:
one that fewer than one in twenty texts had so far, which is what a question is about more often than not. A cache that has seen few texts
takes all words for rare.
"""

import re
from collections import Counter
from typing import Final, final

__all__ = ["Gate", "content_words"]

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*(?:[.,][0-9]+)*")

# Words that carry grammar rather than content; negations are not among them.
_GRAMMAR: Final = (
    "a about also am an and any are as at be been being but by can could did do does doing done else for from get "
    "give go had has have he her here hers him his how i if in into is it its itself just kindly let like made "
    "make may me might mine must my of on or our ours please quite shall she should since so some tell than that "
    "the their theirs them then there these they this those though through to too us very was we were what when "
    "where which while who whom whose why will with would you your yours i'm i'd i'll i've it's that's what's "
    "where's who's how's there's let's you're you'd you'll you've we're we'd we'll we've they're they'd they'll "
    "they've he's she's"
)
_NEGATIVE: Final = "no not never none nobody nothing nowhere neither nor without cannot lack lacks lacking"
_EMPTY: Final = frozenset(_GRAMMAR.split())
_NEGATIONS: Final = frozenset(_NEGATIVE.split())
_NEGATED: Final = re.compile(r"n['\u2019]t$")
# What makes the opposite of a word that it stands before.
_PREFIXES: Final = ("un", "dis", "de", "in", "im", "il", "ir", "non", "anti")
_PAIRS: Final = (
    "above below, accept reject, add remove, after before, agree refuse, allow block, allow deny, allow forbid, "
    "ascending descending, attach detach, backward forward, begin end, best worst, better worse, buy sell, close "
    "open, cold hot, connect sever, create delete, decrease increase, decrease raise, dead alive, deposit "
    "withdraw, disable enable, down up, early late, easy hard, empty full, enter exit, enter leave, expand "
    "collapse, expand shrink, export import, fail pass, fail succeed, false true, fast slow, female male, few "
    "many, first last, gain lose, good bad, grow shrink, guilty innocent, hide show, high low, include exclude, "
    "inside outside, install remove, internal external, join leave, large small, left right, legal illegal, less "
    "more, lock unlock, long short, love hate, maximum minimum, max min, new old, north south, east west, off on, "
    "odd even, pause resume, positive negative, private public, pull push, read write, receive send, rise fall, "
    "safe dangerous, save discard, start stop, strong weak, subscribe cancel, success failure, top bottom, "
    "upgrade downgrade, upload download, win lose, wrong right, yes no, young old"
)
_OPPOSITES: Final = frozenset(frozenset(pair.split()) for pair in _PAIRS.split(", "))

RARE: Final = 0.05
# Words that are counted, at most; then all counts are halved, and what is left of once-seen words is forgotten.
MOST: Final = 50_000


def content_words(text: str) -> frozenset[str]:
    """The words of a text that carry its content, in lower case; a negation of any form is `"not"`.

    Examples
    --------
    >>> from tiercel.semantic.gate import content_words
    >>> sorted(content_words("Why doesn't the printer print 20 pages?"))
    ['20', 'not', 'pages', 'print', 'printer']
    """
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    return frozenset("not" if w in _NEGATIONS or _NEGATED.search(w) else w for w in words if w not in _EMPTY)


@final
class Gate:
    """Tells rare words from common ones, by the texts that it was shown."""

    __slots__ = ("_counts", "_texts")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._texts = 0

    def show(self, words: frozenset[str]) -> None:
        """Count the content words of a text that was asked."""
        self._texts += 1
        self._counts.update(words)
        if len(self._counts) > MOST:
            self._texts //= 2
            self._counts = Counter({word: count // 2 for word, count in self._counts.items() if count > 1})

    def lets_pass(self, one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
        """Whether an answer to one text may answer another; two queries without texts pass, one beside a text does not."""
        if one is None or other is None:
            return one is other
        mine, theirs = one - other, other - one
        return not any(self._matters(word) for word in mine | theirs) and not _are_opposite(mine, theirs)

    def _matters(self, word: str) -> bool:
        return word == "not" or any(map(str.isdigit, word)) or self._counts[word] < RARE * max(self._texts, 40)


def _are_opposite(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    return any(
        frozenset((a, b)) in _OPPOSITES or any(a == prefix + b or b == prefix + a for prefix in _PREFIXES)
        for a in mine
        for b in theirs
    )
