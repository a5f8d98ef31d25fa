"""Approximate answers: only on request, never across meaningful differences, and audited."""

import numpy as np
import pytest
from support.places import ROOT

import tiercel
from tiercel.intervals import wilson_interval
from tiercel.semantic.audit import ThresholdControl, farthest_right
from tiercel.semantic.languages import LANGUAGES
from tiercel.semantic.languages.language import UNKNOWN
from tiercel.semantic.text_check import TextCheck, compare, words_of

DIM = 16


def clustered(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((50, DIM))
    return (centres[rng.integers(0, 50, count)] + 0.4 * rng.standard_normal((count, DIM))).astype(np.float32)


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(DIM)
    index.add(clustered(3000, 1))
    return index


QUERY = clustered(1, 2)[0]
# Too far for a proof, but near enough to share most of an answer.
OFF = QUERY + 0.5 * np.abs(QUERY).mean() * np.random.default_rng(3).standard_normal(DIM)


def test_nothing_is_approximate_unless_asked_for(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=20)
    cache.search(QUERY, 10)
    assert cache.search(OFF, 10).quality == "exact"
    assert cache.stats()["misses"] == 2
    assert cache.stats()["thresholds"] == {}


def test_a_near_query_is_answered_within_the_threshold(index: tiercel.Index) -> None:
    cosine = float(QUERY @ OFF / np.linalg.norm(QUERY) / np.linalg.norm(OFF))
    for threshold, quality in [(1 - cosine + 1e-4, "approximate"), (1 - cosine - 1e-4, "exact")]:
        cache = tiercel.SemanticCache(index, keep=20, threshold=threshold, audit=0)
        cache.search(QUERY, 10)
        matches = cache.search(OFF, 10)
        assert matches.quality == quality
        # Distances are those from the new query.
        exact = index.search(OFF, 3000, recall=1)
        true = dict(zip(exact.ids.tolist(), exact.distances.tolist(), strict=True))
        assert matches.distances.tolist() == [true[id_] for id_ in matches.ids.tolist()]


def test_texts_that_differ_in_what_matters_share_no_answer(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=20, threshold=1.0, audit=0, language="english")
    cache.search(QUERY, 10, text="How do I enable the printer?")
    for text, quality in [
        ("how can I enable a printer", "approximate"),
        ("How do I disable the printer?", "exact"),
        (None, "exact"),
    ]:
        assert cache.search(OFF, 10, text=text, user="").quality == quality
        cache.clear()
        cache.search(QUERY, 10, text="How do I enable the printer?")
    assert cache.search(QUERY, 10, text="How do I disable the printer?").quality == "exact"


def test_proofs_need_no_text(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, threshold=1.0)
    cache.search(QUERY, 10, text="enable")
    assert cache.search(QUERY + 1e-4, 10, text="disable").quality == "certified"


def test_a_share_is_verified_and_counted(index: tiercel.Index) -> None:
    def run(seed: int) -> tuple[list[str], dict[str, object]]:
        cache = tiercel.SemanticCache(index, keep=20, threshold=2.0, audit=0.5, seed=seed)
        cache.search(QUERY, 10)
        rng = np.random.default_rng(4)
        qualities = [cache.search(QUERY + 0.3 * rng.standard_normal(DIM), 10).quality for _ in range(60)]
        return qualities, dict(cache.stats())

    qualities, stats = run(1)
    assert run(1) == (qualities, stats), "the same seed, the same answers"
    assert run(2)[0] != qualities
    verified, wrong = stats["audited"], stats["wrong"]
    assert qualities.count("exact") == verified == stats["misses"] - 1  # type: ignore[operator]
    assert 15 <= verified <= 45  # type: ignore[operator]
    assert 0 < wrong <= verified  # type: ignore[operator]
    assert stats["false_rate"] == wilson_interval(wrong, verified)  # type: ignore[arg-type]
    assert 0.0 < stats["overlap"] < 1.0  # type: ignore[operator]


def test_a_target_of_errors_moves_the_threshold(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=60, max_error=0.05, audit=0.1)
    rng = np.random.default_rng(5)
    queries = clustered(40, 6)
    wrong = approximate = 0
    for round_ in range(2500):
        query = queries[round_ % 40] + rng.choice([0.02, 0.05, 0.1, 0.8]) * rng.standard_normal(DIM)
        matches = cache.search(query, 5)
        if round_ < 60:
            assert matches.quality != "approximate", "nothing is known yet"
        if matches.quality == "approximate":
            approximate += 1
            wrong += not np.array_equal(matches.distances, index.search(query, 5, recall=1).distances)
    assert 0.0 < cache.stats()["thresholds"][""]["k <= 8"] < 0.5
    assert approximate > 20
    assert wrong / approximate <= 0.1
    # The kept lists are forgotten, but not what was learned.
    cache.clear()
    assert cache.stats()["thresholds"][""]["k <= 8"] > 0.0
    assert cache.search(queries[0], 5, user="bob").quality == "exact"


def test_every_kind_of_search_has_a_threshold_of_its_own(index: tiercel.Index) -> None:
    """Being right for the one nearest says little about the 28 nearest, and without a filter little
    about one that a tenth passes.
    """
    cache = tiercel.SemanticCache(index, keep=30, max_error=0.05)
    rng = np.random.default_rng(7)
    queries = clustered(30, 8)

    def ask(k: int, rounds: int, **options: np.ndarray) -> list[str]:
        noise = 0.2 * rng.standard_normal((rounds, DIM))
        return [cache.search(queries[at % 30] + noise[at], k, **options).quality for at in range(rounds)]  # type: ignore[arg-type]

    assert ask(1, 600).count("approximate") > 100
    assert "approximate" not in ask(28, 100)
    assert "approximate" not in ask(1, 100, filter=np.arange(3000) % 10 == 0)
    thresholds = cache.stats()["thresholds"][""]
    assert thresholds.keys() == {"k <= 1", "k <= 32", "k <= 1, filter"}
    assert thresholds["k <= 1"] > 0.0 > thresholds["k <= 32"]


def test_texts_count_as_bytes(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=20, threshold=0.0, bytes=1 << 20)
    for at, query in enumerate(clustered(30, 9)):
        cache.search(query, 3, text=" ".join(f"w{at}x{word}" for word in range(10_000)))
    assert 0 < cache.stats()["entries"] < 20
    assert cache.stats()["bytes"] <= 1 << 20
    cache.clear()
    assert cache.stats()["bytes"] == 0


def test_wilson_holds_at_the_ends() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 188)[1] > 0.02 > wilson_interval(0, 189)[1]
    assert wilson_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(100, 100) == pytest.approx((0.963, 1.0), abs=1e-3)


def test_the_threshold_is_the_farthest_that_labels_allow() -> None:
    right = [(0.001 * at, False) for at in range(300)]
    assert farthest_right(right, 0.02) == pytest.approx(0.299)
    assert farthest_right(right[:188], 0.02) == -1.0
    assert farthest_right([*right, *[(0.5, True)] * 10], 0.02) == pytest.approx(0.299)
    # Labels at one distance are all counted, or none.
    assert farthest_right([*right, *[(0.299, True)] * 10], 0.02) == pytest.approx(0.298)
    assert farthest_right([(0.0, True)] * 300, 0.02) == -1.0


def test_many_that_are_near_do_not_speak_for_a_few_that_are_far() -> None:
    near = [(0.00001 * at, False) for at in range(900)]
    far = [(0.1 + 0.001 * at, at % 3 == 0) for at in range(15)]
    assert wilson_interval(5, 915)[1] < 0.02
    assert farthest_right([*near, *far], 0.02) == pytest.approx(0.102)


def test_a_threshold_that_was_given_stays() -> None:
    from random import Random

    control = ThresholdControl(0.2, None, 0.0, Random(1))
    for _ in range(300):
        control.note(0.1, wrong=True)
    assert control.threshold == 0.2
    assert control.allows(0.2)
    assert not control.allows(0.21)
    assert not control.learns(0.1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is the shop open on Sunday?", "Is the shop not open on Sunday?"),
        ("I can log in", "I can't log in"),
        ("payments with a card", "payments without a card"),
        ("How do I increase the limit?", "How do I decrease the limit?"),
        ("Is the test reliable?", "Is the test unreliable?"),
        ("population of Ghent in 1990", "population of Ghent in 1991"),
        ("version 2.1 of the driver", "version 2.2 of the driver"),
        ("capital of Mali", "capital of Malta"),
        ("convert pounds to euros", "convert euros to yen"),
        ("convert dollars to euros", "convert euros to dollars"),
        ("does A cause B", "does B cause A"),
        ("How do I turn on the alarm?", "How do I turn off the alarm?"),
        ("how do I log in", "how do I log out"),
        ("transfer money to my account", "transfer money from my account"),
        ("When does the shop open?", "Where does the shop open?"),
        ("What's open?", "Who's open?"),
        ("why did it stop", "did it stop"),
        ("How do I sort a list in C++?", "How do I sort a list in C#?"),
        ("is 5 > 3", "is 5 < 3"),
        ("what to wear at -5 degrees", "what to wear at 5 degrees"),
        ("what to wear at \u22125 degrees", "what to wear at 5 degrees"),
        ("pay $5", "pay \u20ac5"),
        ("raise it by 5%", "raise it by 5"),
        ("is login enabled", "is login disabled"),
        ("price increased", "price decreased"),
        ("the order ascends", "the order descends"),
        ("sort oldest", "sort newest"),
        ("adds users", "removes users"),
        ("the job has stopped", "the job is starting"),
        ("men shoes", "women shoes"),
        ("buyer fee", "seller fee"),
        ("start", "end"),
        ("approve the request", "deny the request"),
        ("granting access", "revoking access"),
        ("mounted", "unmounting"),
        ("morning", "evening"),
        ("his rights", "her rights"),
        ("careful", "careless"),
    ],
)
def test_opposites_and_numbers_never_pass(one: str, other: str) -> None:
    check = TextCheck("english", None)
    assert not check.lets_pass(one, other)
    assert not check.lets_pass(other, one)
    assert check.lets_pass(one, one)


PAIRS = ROOT / "benches" / "opposites"


def pairs(language: str) -> dict[str, list[list[str]]]:
    """The pairs of texts of the benchmark of opposites, by kind."""
    found: dict[str, list[list[str]]] = {}
    for block in (PAIRS / f"{language}.txt").read_text("utf-8").split("[")[1:]:
        kind, _, lines = block.partition("]\n")
        found[kind] = [line.split("\t") for line in lines.splitlines()]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_opposite_of_the_benchmark_shares_an_answer_however_often_its_words_were_asked_for(language: str) -> None:
    known = pairs(language)
    texts = [text for kind in known.values() for pair in kind for text in pair]
    cache = tiercel.SemanticCache.payloads(dim=2, threshold=2.0, audit=0, language=language)
    for round_ in range(3):
        shared = []
        for number, (one, other) in enumerate(known["opposite"]):
            # In a namespace for each pair, and after texts that made all words common.
            cache.put([1, 0], one, text=one, namespace=f"{round_} {number}")
            hit = cache.get([1, 0.1], text=other, namespace=f"{round_} {number}")
            shared += [] if hit is None else [(one, other)]
        assert shared == []
        for text in texts:
            cache.get([0, 1], text=text)
    passed = 0
    for number, (one, other) in enumerate(known["same"]):
        cache.put([1, 0], one, text=one, namespace=f"same {number}")
        passed += cache.get([1, 0.1], text=other, namespace=f"same {number}") is not None
    assert passed >= 0.9 * len(known["same"])


def test_most_opposites_are_known_and_nobody_is_asked_about_them() -> None:
    for name, language in LANGUAGES.items():
        opposite = pairs(name)["opposite"]
        told = [compare(words_of(one, language), words_of(other, language), language) for one, other in opposite]
        assert told.count("different") >= 0.85 * len(told), name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's the capital of Mali?", "please, what is the capital of MALI"),
        ("How do I bake a cake?", "how can I bake the cake"),
        ("I can't log in", "I cannot log in"),
        ("size of the whale", "the size of a whale"),
    ],
)
def test_texts_that_differ_in_words_that_say_nothing_pass(one: str, other: str) -> None:
    assert TextCheck("english", None).lets_pass(one, other)
    # In another language, or an unknown one, these words have meaning.
    assert not TextCheck(None, None).lets_pass(one, other)
    assert not TextCheck("french", None).lets_pass(one, other)


def test_where_the_language_is_not_known_only_the_same_words_pass(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=20, threshold=1.0, audit=0)
    cache.search(QUERY, 10, text="Jak włączyć drukarkę?")
    for text, quality in [
        ("jak włączyć drukarkę", "approximate"),
        ("jak wyłączyć drukarkę", "exact"),
        ("How do I enable the printer?", "exact"),
    ]:
        assert cache.search(OFF, 10, text=text).quality == quality
        cache.clear()
        cache.search(QUERY, 10, text="Jak włączyć drukarkę?")


def test_whoever_verifies_is_asked_about_the_grey_zone_alone() -> None:
    asked: list[tuple[str, str]] = []

    def verify(text: str, earlier: str) -> bool:
        asked.append((text, earlier))
        return "package" in text

    cache = tiercel.SemanticCache.payloads(dim=2, threshold=0.1, audit=0, language="english", verify=verify)
    earlier = "Where can I track my parcel to Ghent?"
    cache.put([1, 0], "there", text=earlier)
    for text, found in [
        ("where could I track my parcel to Ghent", True),
        ("where can I track my package to Ghent", True),
        ("where can I track my letter to Ghent", False),
        ("where can I track my package to Bruges", False),
        ("where can I track my 2 parcels to Ghent", False),
        ("where can I not track my package to Ghent", False),
        ("when can I track my package to Ghent", False),
        ("where can I track your package to Ghent", False),
    ]:
        assert (cache.get([1, 0.01], text=text) is not None) == found, text
    assert asked == [
        (text, earlier) for text in ("where can I track my package to Ghent", "where can I track my letter to Ghent")
    ]
    # Not for entries that are too far away anyway.
    assert cache.get([0, 1], text="where can I track my package to Ghent") is None
    assert len(asked) == 2


def test_whoever_verifies_is_asked_in_any_language(index: tiercel.Index) -> None:
    for text, quality in [("jak mogę włączyć drukarkę", "exact"), ("Jak mogę włączyć drukarkę", "approximate")]:
        cache = tiercel.SemanticCache(
            index, keep=20, threshold=1.0, audit=0, verify=lambda one, other: one[:3] == other[:3]
        )
        cache.search(QUERY, 10, text="Jak włączyć drukarkę?")
        assert cache.search(OFF, 10, text=text).quality == quality


@pytest.mark.parametrize("score", [0.97, 1, None, "yes", np.float32(0.2)])
def test_a_score_is_no_verdict(score: object) -> None:
    cache = tiercel.SemanticCache.payloads(dim=2, threshold=0.1, audit=0, verify=lambda *_: score)  # type: ignore[arg-type, return-value]
    cache.put([1, 0], "payload", text="one text")
    with pytest.raises(
        tiercel.InvalidInputError, match=r"verify: expected a callable that returns a bool, such as score > 0\.9, got"
    ):
        cache.get([1, 0.01], text="another text")
    assert cache.get([1, 0], text="one text") is not None


@pytest.mark.parametrize("error", [ConnectionError, StopIteration])
def test_a_numpy_verdict_counts_and_an_error_is_raised(error: type[Exception], index: tiercel.Index) -> None:
    def fail(*_: str) -> bool:
        raise error("no judge")

    results = tiercel.SemanticCache(index, keep=20, threshold=1.0, audit=0, verify=fail)
    results.search(QUERY, 10, text="one text")
    with pytest.raises(error):
        results.search(OFF, 10, text="another text")
    for verify, outcome in [(lambda *_: np.bool_(True), "payload"), (fail, None)]:
        cache = tiercel.SemanticCache.payloads(dim=2, threshold=0.1, audit=0, verify=verify)  # type: ignore[arg-type]
        cache.put([1, 0], "payload", text="one text")
        if outcome is None:
            with pytest.raises(error):
                cache.get([1, 0.01], text="another text")
        else:
            assert cache.get([1, 0.01], text="another text").payload == outcome  # type: ignore[union-attr]


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_opposite_is_lost_among_words_that_say_nothing(name: str) -> None:
    language = LANGUAGES[name]
    assert not language.opposites.keys() & (language.empty | language.negations)
    assert not language.empty & (language.negations | language.telling)


def test_long_texts_are_compared_word_by_word_once() -> None:
    class Word(str):
        __slots__ = ()
        looks = 0

        def removesuffix(self, suffix: str, /) -> str:
            Word.looks += 1
            return str.removesuffix(self, suffix)

    one, other = (tuple(Word(f"{side}{'x' * at}") for at in range(300)) for side in ("a", "b"))
    assert not LANGUAGES["english"].are_opposite(one, other)
    assert Word.looks < 20 * 600


def test_a_text_beside_none_does_not_pass() -> None:
    check = TextCheck("english", lambda *_: True)
    assert check.lets_pass(None, None)
    assert not check.lets_pass(None, "")
    assert not check.lets_pass("", None)


def test_of_an_unknown_language_every_word_says_something() -> None:
    assert words_of("Please, the A of a C++ at -5", UNKNOWN).words == (
        "please",
        "the",
        "a",
        "of",
        "a",
        "c++",
        "at",
        "-5",
    )
