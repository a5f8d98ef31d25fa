"""Words that mean the opposite of each other, in any of their forms; what is taken for that and is not, costs no more than a search."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

__all__ = ["are_opposite"]

# Every word before a slash is the opposite of each behind it.
_PAIRS: Final = (
    "above over/below under beneath, accept agree approve/reject refuse decline deny, acceptance approval/rejection "
    "refusal denial, active/inactive idle, add attach/remove detach subtract delete, addition/removal subtraction "
    "deletion, after/before until, allow permit/block forbid prohibit deny ban prevent, always/sometimes, arrive "
    "arrival/depart departure leave, ascend/descend, asc/desc, ask/answer, backward/forward, back/front forward, "
    "begin began begun start launch open/end stop finish close quit, beginning/ending end, best/worst, better/worse, "
    "big large great/small little tiny, bought/sold, buy purchase/sell, cheap/expensive dear, clean/dirty, clear/set, "
    "client/server, cold cool/hot warm heat, connect/sever disconnect, create build/delete destroy drop remove, "
    "credit/debit, day/night, dead/alive, deposit/withdraw withdrawal, early/late, easy simple/hard difficult, "
    "empty/full, enable activate/disable deactivate, enter/exit leave, entrance/exit, equal/different unequal, "
    "even/odd, expand extend grow/collapse shrink contract, fail failure failed/pass succeed success, false/true, "
    "fast quick/slow, female/male, few fewer/many more, find found/lose lost, first/last, forget/remember, gain/lose, "
    "gave/took, good/bad evil, grant granted allow/revoke withdraw deny, grew/shrank, guilty/innocent, half/double "
    "whole, heavy/light, hide hidden/show shown reveal, high/low, hire/fire, income/expense, in/out, include/exclude "
    "omit, increase raise rise rose grow/decrease reduce lower fall fell drop shrink cut, inner/outer, "
    "inside/outside, install/remove uninstall, internal/external, join/leave split, keep/discard drop delete, "
    "king/queen, leading/trailing, left/right, legal/illegal, lend/borrow, lent/borrowed, less least/more most, "
    "lock/unlock, long/short, love/hate dislike, max/min, maximum/minimum, maximize/minimize, merge/split, "
    "morning/evening, mother/father, mute/unmute, near close/far, new newer newest/old older oldest, north/south, "
    "on/off, optional/required mandatory, old/young, pause stop/resume continue, pay/refund, plus/minus, "
    "positive/negative, present/absent, private secret/public, push/pull, read/write, receive/send, receipt/invoice, "
    "rich/poor, right correct/wrong incorrect, safe/dangerous unsafe, save keep/discard delete spend, sender/receiver "
    "recipient, sent/received, sister/brother, son/daughter, soft/hard, source/target destination, strong/weak, "
    "subscribe/cancel unsubscribe, thick/thin, tight/loose, top/bottom, up/down, upgrade/downgrade, upload/download, "
    "vertical/horizontal, wax/wane, west/east, wide/narrow, win won/lose lost, man men/woman women, boy/girl, "
    "husband/wife, he/she, him/her, his/hers her, employer/employee, teacher/student, tenant/landlord, "
    "debtor/creditor, asset/liability, profit/loss, supply/demand, import/export"
)
# What makes the opposite of a word that it stands before.
_NEGATING: Final = ("un", "dis", "de", "in", "im", "il", "ir", "non", "anti", "mis", "counter")
# Beginnings that make opposites of one rest, and endings.
_BEGINNINGS: Final = (
    "as/des, en/de, en/dis, in/de, in/ex, im/ex, in/out, up/down, on/off, over/under, pre/post, max/min, inter/intra, "
    "hyper/hypo, macro/micro, fore/back, pro/anti"
)
_ENDINGS: Final = "ful/less, er/ee, or/ee"
_INFLECTIONS: Final = ("s", "es", "d", "ed", "r", "er", "est", "ing", "al", "ly", "ment")


def _both_ways(pairs: str) -> dict[str, frozenset[str]]:
    known: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs.split(", "):
        before, behind = (side.split() for side in pair.split("/"))
        for one in before:
            for other in behind:
                known[one].add(other)
                known[other].add(one)
    return {word: frozenset(others) for word, others in known.items()}


_OPPOSITES: Final = _both_ways(_PAIRS)
_BEGUN: Final = _both_ways(_BEGINNINGS)
_ENDED: Final = _both_ways(_ENDINGS)


def are_opposite(mine: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether a word of one text is the opposite of a word of the other, in any of its forms.

    Examples
    --------
    >>> from tiercel.semantic.opposites import are_opposite
    >>> are_opposite(["is", "enabled"], ["disabling"]), are_opposite(["stopped"], ["starts"]), are_opposite(["cat"], ["hen"])
    (True, True, False)
    """
    known = {form for word in theirs for form in _forms(word)}
    return any(not known.isdisjoint(_opposites(form)) for word in mine for form in _forms(word))


def _forms(word: str) -> set[str]:
    """What a word may be a form of: stopped, stopp, stop; enabling, enabl, enable."""
    forms = {word}
    for ending in _INFLECTIONS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1:
            forms |= {stem, stem + "e"}
            if stem[-1] == stem[-2]:
                forms.add(stem[:-1])
            if stem[-1] == "i":
                forms.add(stem[:-1] + "y")
    return forms


def _opposites(word: str) -> set[str]:
    """The words that would be the opposite of one."""
    found = {*_OPPOSITES.get(word, ())}
    for prefix in _NEGATING:
        found.add(prefix + word)
        if word.startswith(prefix):
            found.add(word.removeprefix(prefix))
    for begun, others in _BEGUN.items():
        if word.startswith(begun):
            found |= {other + word.removeprefix(begun) for other in others}
    for ended, others in _ENDED.items():
        if word.endswith(ended):
            found |= {word.removesuffix(ended) + other for other in others}
    return found
