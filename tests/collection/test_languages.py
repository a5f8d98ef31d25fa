"""Words are found whatever their case and form of letters, by the rules of their language."""

# Letters of many languages.
# ruff: noqa: RUF001

import lzma
import shutil
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import DATA
from texts import lit

import tiercel

# By language: a text, and queries that find it.
FOUND: dict[str | None, list[tuple[str, list[str]]]] = {
    "turkish": [
        ("IŞIK İstanbul", ["ışık", "IŞIK", "Işık", "istanbul", "İSTANBUL", "i\u0307stanbul", "I\u0307STANBUL"]),
        ("kızıl ısı", ["KIZIL", "ISI"]),
        ("İSTANBUL’UN", ["istanbul", "İstanbul'da"]),
    ],
    "azerbaijani": [("QIZIL İpək", ["qızıl", "Qızıl", "ipək", "İPƏK"])],
    "lithuanian": [("LI\u0300TAS", ["lìtas", "LÌTAS", "li\u0307\u0300tas"])],
    "german": [("Die Straße", ["STRASSE", "strasse", "STRAẞE", "straße"])],
    "greek": [("ΟΔΥΣΣΕΥΣ", ["οδυσσευς", "Οδυσσευσ"]), ("οδός", ["ΟΔΟΣ", "ΟΔΌΣ", "οδο\u0301ς"])],
    "french": [("ÉCOLES", ["école", "e\u0301cole"])],
    None: [
        ("cafe\u0301", ["café", "CAFÉ", "CAFE\u0301", "ｃａｆé"]),
        ("Straße", ["strasse", "STRASSE"]),
        ("İstanbul ışık", ["istanbul", "ISTANBUL", "IŞIK"]),
        ("o\ufb03ce co\u00adoperate", ["office", "OFFICE", "cooperate"]),
        ("ｶﾀｶﾅ", ["カタカナ"]),
        ("한글", [unicodedata.normalize("NFD", "한글")]),
    ],
}
CASES = [(language, text, queries) for language, rows in FOUND.items() for text, queries in rows]


@pytest.mark.parametrize(("language", "text", "queries"), CASES)
def test_a_text_is_found_in_any_form(tmp_path: Path, language: str | None, text: str, queries: list[str]) -> None:
    with tiercel.open(tmp_path / "it", language=language) as collection:
        collection.upsert(["it", "other"], texts=[f"{text} x", "something else x"])
        collection.checkpoint()
        for query in queries:
            match = collection.search(text=query, include=("text", "highlights"))[0]
            assert match.id == "it", query
            assert lit(match)[0] in text
            for signed, expected in {f"+{query}": "it", f'"{query}"': "it", f"x -{query}": "other"}.items():
                assert collection.search(text=signed, syntax="operators").ids == [expected], signed
    with tiercel.open(tmp_path / "it", mode="r") as reader:
        assert all(reader.search(text=query).ids == ["it"] for query in queries)


def test_turkish_letters_are_four(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, language="turkish") as collection:
        collection.upsert(["dotless", "dotted"], texts=["kıs", "kis"])
        for query, expected in {"KIS": "dotless", "kıs": "dotless", "KİS": "dotted", "kis": "dotted"}.items():
            assert collection.search(text=query).ids == [expected]


def test_accents_stay(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, language=None) as collection:
        collection.upsert(["a", "b"], texts=["résumé", "resume"])
        assert collection.search(text="RE\u0301SUME\u0301").ids == ["a"]
        assert collection.search(text="RESUME").ids == ["b"]


# By language: words with spellings that find them without accents, and with some that do not.
ACCENTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "english": ({}, {"résumé": "resume"}),
    "german": ({"Köln": "koln", "Äpfel": "apfel", "Müller": "muller"}, {"Café": "cafe"}),
    "spanish": ({"canción": "cancion", "árbol": "arbol", "rápido": "rapido"}, {"niño": "nino", "pingüino": "pinguino"}),
    "dutch": ({"coördinatie": "coordinatie", "privé": "prive"}, {"Curaçao": "curacao", "scène": "scene"}),
    "greek": ({"ταξίδεψε": "ταξιδεψε", "οδός": "οδος"}, {"προϊόν": "προιον"}),
    "arabic": ({"مُحَمَّد": "محمد", "أحمد": "احمد", "آخر": "اخر"}, {}),
    "french": ({"père": "pere", "marché": "marche"}, {"garçon": "garcon", "hôtel": "hotel"}),
    "italian": ({"caffè": "caffe"}, {"virtù": "virtu"}),
    "swedish": ({}, {"språk": "sprak"}),
    "turkish": ({}, {"güneş": "gunes"}),
}


@pytest.mark.parametrize("language", ACCENTS)
def test_accents_that_stems_are_without(tmp_path: Path, language: str) -> None:
    same, other = ACCENTS[language]
    with tiercel.open(tmp_path, language=language) as collection:
        collection.upsert([*same, *other], texts=[*same, *other])
        found = {word: collection.search(text=plain).ids for word, plain in (same | other).items()}
        assert found == {word: [word] for word in same} | {word: [] for word in other}
        assert all(collection.search(text=word).ids == [word] for word in found)


def test_scripts_without_spaces(tmp_path: Path) -> None:
    texts = {
        "ko": "지역주민이 모였다",
        "kana": "カタカナテスト",
        "ja": "東京都にすむ",
        "zh": "北京大学的学生",
        "th": "ภาษาไทย",
    }
    with tiercel.open(tmp_path, language=None) as collection:
        collection.upsert([*texts], texts=[*texts.values()])
        for query in ("주민", "지역주민", "テスト"):
            assert collection.search(text=query).ids == [], "a run is one word"
        for query, expected in {
            "지역주민이": "ko",
            "カタカナテスト": "kana",
            "すむ": "ja",
            "大学": "zh",
            "ไทย": "th",
        }.items():
            assert collection.search(text=query).ids == [expected]
        assert collection.search(text="東京").ids == ["ja", "zh"]
        assert collection.search(text='+"東京"', syntax="operators").ids == ["ja"]
        assert collection.search(text='+"京東"', syntax="operators").ids == []


FORMS: list[Callable[[str], str]] = [
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
    str.upper,
    str.lower,
    str.casefold,
]
LETTERS = "abcijıIİßẞſςσΣΐéÉÅåﬁﬃǰŉĲǅµКкёЁ한Ａа\u0301\u0300\u0307\u0323\u0328"


@given(word=st.text(st.sampled_from(LETTERS), max_size=8), one=st.sampled_from(FORMS), other=st.sampled_from(FORMS))
def test_any_form_finds_any_other(shelf: tiercel.Collection, word: str, one: Any, other: Any) -> None:
    word = f"x{word}"
    shelf.upsert(["it"], texts=[f"{one(word)} word"])
    (match,) = shelf.search(text=other(word), include=("text", "highlights"))
    assert lit(match) == [one(word)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with tiercel.open(tmp_path_factory.mktemp("shelf"), language=None, durability="none") as collection:
        yield collection


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A collection with terms from older rules for forms of letters; some are in a checkpoint."""
    with lzma.open(DATA / "collection-v1-words.tar.xz") as unpacked, tarfile.open(fileobj=unpacked) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "collection-v1-words"


WANTED = {
    "ışık": {"city", "light"},
    "IŞIK": {"city", "light"},
    "istanbul": {"city"},
    "café": {"café", "later"},
    "STRASSE": {"café", "later"},
    "οδυσσευς": {"king"},
}


def check(collection: tiercel.Collection) -> None:
    for query, ids in WANTED.items():
        found = collection.search(text=query, include=("text", "highlights"))
        assert set(found.ids) == ids, query
        assert all(len(lit(match)) == 1 for match in found)
    assert collection.search(text='"café strasse"', syntax="operators").ids == ["café", "later"]


def test_old_terms_are_made_again(old: Path) -> None:
    before = sorted(path.name for path in old.glob("text-*.seg"))
    with tiercel.open(old, mode="r") as reader:
        check(reader)
    with tiercel.open(old) as collection:
        check(collection)
        collection.upsert(["new"], texts=["ışık"])
        collection.delete(["new"])
        check(collection)
        assert collection.verify() == []
    # Closing has written them.
    assert sorted(path.name for path in old.glob("text-*.seg")) != before
    with tiercel.open(old, mode="r") as reader:
        check(reader)


def test_old_terms_are_made_again_after_a_copy(old: Path, tmp_path: Path) -> None:
    shutil.copytree(old, tmp_path / "copy")
    with tiercel.open(tmp_path / "copy") as collection:
        collection.backup(tmp_path / "backup")
    with tiercel.open(tmp_path / "backup") as collection:
        check(collection)


CUT: dict[str, list[str]] = {
    "import os.path.join": ["join", "path", "os", "os.path.join", "path.join"],
    "foo_bar baz": ["bar", "foo", "foo_bar", "FOO_BAR"],
    "key:value": ["value", "key", "key:value"],
    "see example.com/page": ["example", "com", "page", "example.com"],
    "> result.txt": ["result", "txt", "result.txt"],
    "1003,7,8,9": ["1003", "7", "8", "9", "1003,7"],
    "1,2,3": ["1", "2", "3"],
    "9.75,2.25;6": ["9.75", "2.25", "6"],
    "from the U.S.A. and": ["USA", "U.S.A.", "u.s.a"],
    "about 12,345.67 km": ["12,345.67", "km"],
}


def letters_of(words: list[str]) -> str:
    return "".join(letter for letter in "".join(words).lower() if letter.isalnum())


@pytest.mark.parametrize("text", CUT)
def test_code_and_tables_are_found_by_each_of_their_words(tmp_path: Path, text: str) -> None:
    with tiercel.open(tmp_path) as collection:
        collection.upsert(["it", "other"], texts=[text, "of something else"])
        for query in CUT[text]:
            (match,) = collection.search(text=query, include=("text", "highlights"))
            assert match.id == "it", query
            # In a phrase, the words must be in this order.
            (again,) = collection.search(text=f'+"{query}"', syntax="operators", include=("text", "highlights"))
            assert lit(again) == lit(match)
            assert letters_of(lit(match)) == letters_of([query])
        assert collection.search(text='"join path" "9 8"', syntax="operators").ids == []


def test_numbers_stay_whole(tmp_path: Path) -> None:
    with tiercel.open(tmp_path) as collection:
        collection.upsert(["it"], texts=["pi is 3.14, it costs 1,000 or 5.00 in v1.2.3"])
        for query in ("3.14", "1,000", "5.00", "v1.2.3"):
            assert collection.search(text=query).ids == ["it"]
        for query in ("3", "14", "1", "000", "5", "00"):
            assert collection.search(text=query).ids == []


def test_terms_that_were_not_cut_are_made_again(tmp_path: Path) -> None:
    """Version 2 of the rules kept `os.path.join` whole; some texts are in a checkpoint, and one
    only in the log.
    """
    with lzma.open(DATA / "collection-v1-code.tar.xz") as unpacked, tarfile.open(fileobj=unpacked) as archive:
        archive.extractall(tmp_path, filter="data")
    for mode in ("r", "rw", "r"):
        with tiercel.open(tmp_path / "collection-v1-code", mode=mode) as collection:
            for query, expected in {"join": "import", "1003": "row", "bar": "name", "USA": "name"}.items():
                assert collection.search(text=query).ids == [expected]
            assert collection.verify() == []
