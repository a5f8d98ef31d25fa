"""English word lists."""

import re
from typing import Final

from tiercel.semantic.languages.language import Language, both_ways

__all__ = ["ENGLISH"]

_EMPTY: Final = "a an the please kindly is are am be been being do does doing can could would of"
_NEGATIONS: Final = "no not never none nobody nothing nowhere neither nor without cannot lack lacks lacking hardly"
_TELLING: Final = (
    "when where who whom whose what why how which must should may might shall will was were did had only except unless if all both each every "
    "more most less least than zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty "
    "forty fifty sixty seventy eighty ninety hundred thousand million billion once twice second third half quarter dozen "
    "monday tuesday wednesday thursday friday saturday sunday january february march april june july august september october november "
    "december today tomorrow yesterday"
)
# A wrong pair of opposites costs only a search.
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
    "debtor/creditor, asset/liability, profit/loss, supply/demand, import/export, to/from, into onto/out off, my mine our/your "
    "yours their theirs, i we/you they, and/or, here/there, this these/that those, before/during since, give/get take, come/go, "
    "wins/loses, arrived/left, started/ended, awake/asleep, guest/host, question/answer, attack/defend, laugh/cry, "
    "married/divorced single, hero/villain, victory/defeat, cause/prevent, teach/learn, throw/catch, drunk/sober, wet/dry, "
    "raw/cooked, sweet/sour bitter, sharp/blunt, ally/enemy, urban/rural, theory/practice, entire/partial, temporary/permanent, "
    "manual/automatic, single/multiple, mandatory/voluntary, online/offline, arrivals/departures, encrypt/decrypt, zip/unzip"
)

ENGLISH: Final = Language(
    empty=frozenset(_EMPTY.split()),
    negations=frozenset(_NEGATIONS.split()),
    telling=frozenset(_TELLING.split()),
    rewritten=(
        (re.compile(r"\bcan't\b"), "can not"),
        (re.compile(r"\bwon't\b"), "will not"),
        (re.compile(r"n't\b"), " not"),
        (re.compile(r"'ll\b"), " will"),
        (re.compile(r"'ve\b"), " have"),
        (re.compile(r"'(?:s|d|re|m)\b"), " "),
    ),
    opposites=both_ways(_PAIRS),
    negating=("un", "dis", "de", "in", "im", "il", "ir", "non", "anti", "mis", "counter"),
    beginnings=both_ways(
        "as/des, en/de, en/dis, in/de, in/ex, im/ex, in/out, up/down, on/off, over/under, pre/post, max/min, inter/intra, "
        "hyper/hypo, macro/micro, fore/back, pro/anti"
    ),
    endings=both_ways("ful/less, er/ee, or/ee"),
    inflections=("s", "es", "d", "ed", "r", "er", "est", "ing", "al", "ly", "ment"),
    stems=("", "e"),
)
