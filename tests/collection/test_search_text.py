"""Effects of a query's words besides ranking: requirements on every result, and highlights."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from texts import Letters, lit

import tiercel
from tiercel import F

TEXTS = {
    "red": "red wine, then more wine",
    "white": "white wine",
    "mud": "an eel sleeps in mud",
    "turned": "wine red as mud",
    "bare": None,
}


@pytest.fixture
def cellar(tmp_path: Path):
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert([*TEXTS], [[1, at] for at in range(5)], list(TEXTS.values()), [{"at": at} for at in range(5)])
        yield collection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wine", {"red", "white", "turned", "mud", "bare"}),
        ("the sleeping", {"red", "white", "turned", "mud", "bare"}),
        ("wine -mud", {"red", "white", "bare"}),
        ("-mud", {"red", "white", "bare"}),
        ("+wine", {"red", "white", "turned"}),
        ("+wines -white", {"red", "turned"}),
        ('"red wine" mud', {"red"}),
        ('"mud"', {"mud", "turned"}),
        ('-"red wine"', {"white", "turned", "mud", "bare"}),
        ('+wine "in mud"', {"turned"}),
        ("+nothing", set()),
        ('12" wide-open', {"red", "white", "turned", "mud", "bare"}),
    ],
)
def test_signs_and_quotes_hold_for_what_is_found_by_vector(
    cellar: tiercel.Collection, text: str, expected: set[str]
) -> None:
    assert set(cellar.search([1, 1], text, syntax="operators").ids) == expected
    later = cellar.search([1, 1], text, syntax="operators", filter=F("at") >= 2, k=9)
    assert set(later.ids) == {name for name in expected if [*TEXTS].index(name) >= 2}
    assert set(cellar.search_many([[1, 1]], [text], syntax="operators")[0].ids) == expected
    assert set(cellar.search([1, 1], text).ids) == set(TEXTS), "as plain text it only ranks"


def test_constraints_are_of_the_records_as_they_are_now(cellar: tiercel.Collection) -> None:
    cellar.upsert(["mud", "new"], [[1, 0], [1, 1]], ["a clean eel", "more mud"])
    cellar.delete(["turned"])
    assert set(cellar.search([1, 1], "eel -mud", syntax="operators").ids) == {"red", "white", "bare", "mud"}
    assert cellar.search([1, 1], "+mud", syntax="operators").ids == ["new"]


def test_with_an_embedder_a_text_alone_keeps_to_its_constraints(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert(["cat", "eel"], texts=["a cat sleeps", "an eel sleeps in mud"])
        assert set(collection.search(text="sleeps").ids) == {"cat", "eel"}
        assert collection.search(text="sleeps -mud", syntax="operators").ids == ["cat"]
        assert collection.search(text='"in mud"', syntax="operators").ids == ["eel"]
        many = collection.search_many(texts=["sleeps -mud", "+mud"], syntax="operators")
        assert [found.ids for found in many] == [["cat"], ["eel"]]
        plan = collection.search(text="sleeps -mud", syntax="operators", explain=True).plan
        assert plan is not None
        assert next(stage["name"] for stage in plan["stages"]) == "constraints"


USERS_WRITE = {
    "shell": ("git push --force overwrites", "git push --force overwrites the branch of others"),
    "pipes": ('grep -r "no such words here" src | wc -l', "grep -r prints the name of the file, wc -l counts"),
    "code": ('if x == -1 and y != "zzz": return -x', "if x is below zero, return x and y"),
    "increments": ("i += 1; j -= -1; k++", "i and j and k are counted up by 1"),
    "mail": ('"Smith, John" <john@example.com> wrote: -1 from me', "John Smith wrote about it"),
    "quoted mail": ("> I agree\n> -- \n> Ann +49 30 1234 -mobile", "Ann has a mobile, ask her"),
    "table": ('"id","name"\n-7,"unheard of"\n+8,eel', "the name of number 8 is eel"),
    "temperature": ("-5 degrees outside", "5 degrees below zero outside"),
    "unpaired": ('a 12" vinyl record - "used', "used vinyl record"),
}


@pytest.mark.parametrize(("text", "stored"), USERS_WRITE.values(), ids=USERS_WRITE.keys())
def test_what_users_write_is_found_whatever_its_signs(tmp_path: Path, text: str, stored: str) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(["it", "other", "none"], [[1, 0], [1, 0], [0, 1]], [stored, "of something else", None])
        assert collection.search(text=text).ids[0] == "it"
        assert collection.search(text=text).ids == collection.search(text=text, syntax="plain").ids
        # No result found by vector disappears.
        assert set(collection.search([1, 1], text).ids) == {"it", "other", "none"}
        assert [found.ids[0] for found in collection.search_many(texts=[text])] == ["it"]


def test_a_plain_text_may_be_a_long_document(cellar: tiercel.Collection) -> None:
    text = " ".join(f'"wine {at}" -white{at}' for at in range(2000))
    assert set(cellar.search(text=text).ids) == {"red", "white", "turned"}
    with pytest.raises(tiercel.InvalidInputError, match="text: expected at most 64 different phrases"):
        cellar.search(text=text, syntax="operators")


def test_plain_highlights_are_of_all_words(cellar: tiercel.Collection) -> None:
    match = cellar.search(text='-wine "red mud"', include=("text", "highlights"), k=1)[0]
    assert (match.id, lit(match)) == ("turned", ["wine", "red", "mud"])


def test_a_syntax_that_is_none_is_refused(cellar: tiercel.Collection) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="syntax: expected 'plain' or 'operators', got 'lucene'"):
        cellar.search(text="wine", syntax="lucene")  # pyright: ignore[reportArgumentType]


def test_highlights_are_the_words_that_matched(cellar: tiercel.Collection) -> None:
    include = ("text", "highlights")
    text = 'wines "sleeps in mud" -white'
    found = {match.id: match for match in cellar.search(text=text, syntax="operators", include=include)}
    assert lit(found["red"]) == ["wine", "wine"]
    assert found["red"].highlights == [(4, 8), (20, 24)]
    assert lit(found["mud"]) == ["sleeps", "in", "mud"] or lit(found["mud"]) == ["sleeps", "mud"]
    assert lit(found["turned"]) == ["wine"]


def test_highlights_count_characters_of_a_python_string(cellar: tiercel.Collection) -> None:
    text = "\U0001f377 caf\u00e9 \u6771\u4eac: WINE, wines \u1e9e"
    cellar.upsert(["odd"], texts=[text])
    match = cellar.search(
        text="wine caf\u00e9 \u4eac", filter={"$not": {"at": {"$exists": True}}}, include=["text", "highlights"]
    )[0]
    assert lit(match) == ["caf\u00e9", "\u4eac", "WINE", "wines"]
    only = cellar.search(text="caf\u00e9", include="highlights")[0]
    assert only.text is None
    assert only.highlights == [(2, 6)]


def test_highlights_where_there_is_nothing_to_light(cellar: tiercel.Collection) -> None:
    assert [match.highlights for match in cellar.search([1, 1], include=["highlights"])] == [[]] * 5
    found = {match.id: match.highlights for match in cellar.search([1, 1], "wine", include=["highlights"])}
    assert found["mud"] == found["bare"] == []
    assert found["white"] == [(6, 10)]
    assert cellar.search([1, 1], "wine")[0].highlights is None


def test_records_that_are_read_have_no_highlights(cellar: tiercel.Collection) -> None:
    for read in (cellar.get, cellar.scan):
        arguments: list[Any] = [["red"]] if read == cellar.get else []
        with pytest.raises(
            tiercel.InvalidInputError, match="include: expected any of 'text', 'metadata', 'vector', got 'highlights'"
        ):
            read(*arguments, include=["highlights"])  # pyright: ignore[reportArgumentType]
    assert cellar.get(["red"])[0].highlights is None  # pyright: ignore[reportOptionalMemberAccess]


def test_equal_phrases_are_one_and_different_ones_are_limited(cellar: tiercel.Collection) -> None:
    search = partial(cellar.search, syntax="operators")
    once, often = (search(text='"red wine"' * times)[0] for times in (1, 10_000))
    assert often.id == once.id == "red"
    assert often.score == pytest.approx(10_000 * once.score)
    with pytest.raises(tiercel.InvalidInputError, match="text: expected at most 64 different phrases in a query"):
        search(text=" ".join(f'"red {at}"' for at in range(65)))
    with pytest.raises(
        tiercel.InvalidInputError, match="text: expected at most 1024 words in phrases and after a sign"
    ):
        search(text=" ".join(f"-w{at}" for at in range(1025)))
