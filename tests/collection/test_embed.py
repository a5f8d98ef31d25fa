"""The promises of embedders, and of collections with one."""

import asyncio
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from texts import Letters, letters

import tiercel
from tiercel import embed
from tiercel.embed import HashingEmbedder, from_callable

TEXTS = ["a cat sleeps", "a hen lays eggs", "an eel sleeps in mud"]


def test_hashing_is_lexical_and_the_same_everywhere() -> None:
    embedder = HashingEmbedder()
    vectors = embedder.embed_documents([*TEXTS, "A CAT, sleeps!"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[3], abs=1e-6)
    assert (vectors @ embedder.embed_query("cats")).argmax() in (0, 3)
    assert embedder.embed_query(TEXTS[1]).tolist() == vectors[1].tolist()
    small = HashingEmbedder(4, 7).embed_query("The cat's café, the cat")
    assert small.view(np.uint32).tolist() == [1_059_847_928, 1_057_783_608, 3_191_781_935, 3_203_146_663]


def test_hashing_takes_any_number_of_texts() -> None:
    embedder = HashingEmbedder(dim=16)
    many = [f"text {number}" for number in range(700)]
    assert embedder.embed_documents([]).shape == (0, 16)
    assert embedder.embed_documents(many)[650].tolist() == embedder.embed_query(many[650]).tolist()


def test_hashing_is_named_by_what_it_depends_on() -> None:
    assert HashingEmbedder().fingerprint == "tiercel-hashing-1/dim=384/seed=0"
    assert HashingEmbedder(8, 1).fingerprint != HashingEmbedder(8, 2).fingerprint
    copy = pickle.loads(pickle.dumps(HashingEmbedder(8, 5)))
    assert (copy.dim, repr(copy)) == (8, "HashingEmbedder(dim=8, seed=5)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: HashingEmbedder(0), "dim: expected an int from 1 to 32768, got 0"),
        (lambda: HashingEmbedder(32769), "dim"),
        (lambda: HashingEmbedder(True), "dim"),
        (lambda: HashingEmbedder(8, -1), "seed"),
        (lambda: HashingEmbedder().embed_documents("text"), "texts: expected a list of str, got str"),
        (lambda: HashingEmbedder().embed_documents(["a", 1]), r"texts\[1\]: expected a str, got int"),
        (lambda: HashingEmbedder().embed_documents(7), "texts: expected a list of str, got int"),
        (lambda: HashingEmbedder().embed_query("\ud800"), "text: expected Unicode text"),
        (lambda: HashingEmbedder().embed_query(b"a"), "text: expected a str, got bytes"),
        (lambda: from_callable(letters, 0, "letters"), "dim"),
        (lambda: from_callable(letters, 3, ""), "fingerprint: expected a str that is not empty"),
        (lambda: from_callable("letters", 3, "letters"), "function: expected a callable"),
        (lambda: embed.LangChainEmbedder(object(), 3, "x"), "embeddings: expected an object with embed_documents"),
        (lambda: embed.LlamaIndexEmbedder(object(), 3, "x"), "expected an object with get_text_embedding_batch"),
        (lambda: embed.Model2VecEmbedder(object()), "fingerprint: expected a str"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call()


def test_a_function_gets_batches() -> None:
    sizes: list[int] = []

    def function(texts: list[str]) -> object:
        sizes.append(len(texts))
        return letters(texts)

    embedder = from_callable(function, 3, "letters")
    vectors = embedder.embed_documents(TEXTS * 200)
    assert sizes == [256, 256, 88]
    assert vectors.tolist() == letters(TEXTS * 200)
    assert embedder.embed_documents([]).shape == (0, 3)
    assert embedder.embed_query(TEXTS[0]).tolist() == letters(TEXTS)[0]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([[1, 2]], r"expected an array of shape \(1, 3\), got \(1, 2\)"),
        ([1, 2, 3], r"expected an array of shape \(1, 3\), got \(3,\)"),
        ([[1, 2, np.nan]], "expected finite values, got NaN or infinity for text 0"),
        ([[1, 2, 1e300]], "expected finite values"),
        ("abc", "expected numbers of shape"),
        (None, "CallableEmbedder"),
    ],
)
def test_what_a_model_returns_is_checked(returned: object, message: str) -> None:
    embedder = from_callable(lambda texts: returned, 3, "broken")
    for call in (lambda: embedder.embed_documents(["a"]), lambda: embedder.embed_query("a")):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call()


def test_the_text_of_a_bad_vector_is_named() -> None:
    embedder = from_callable(lambda texts: [[np.nan if text == "bad" else 1] for text in texts], 1, "broken")
    with pytest.raises(tiercel.InvalidInputError, match="for text 300"):
        embedder.embed_documents([*["good"] * 300, "bad"])


def sentence_transformers() -> Any:
    def encode(texts: list[str] | str, *, show_progress_bar: bool, convert_to_numpy: bool) -> np.ndarray:
        assert not show_progress_bar
        assert convert_to_numpy
        return np.array(letters([texts])[0] if isinstance(texts, str) else letters(texts))

    return SimpleNamespace(encode=encode, encode_document=encode, encode_query=encode)


def fastembed() -> Any:
    return SimpleNamespace(
        passage_embed=lambda texts: iter(letters(texts)), query_embed=lambda text: iter(letters([text]))
    )


def model2vec() -> Any:
    return SimpleNamespace(encode=lambda texts: np.array(letters(texts)))


MODELS = [
    ("sentence_transformers", "sentence-transformers", embed.SentenceTransformersEmbedder, sentence_transformers),
    ("fastembed", "fastembed", embed.FastEmbedEmbedder, fastembed),
    ("model2vec", "model2vec", embed.Model2VecEmbedder, model2vec),
]


def stand_in(module: str, model: object) -> ModuleType:
    found = ModuleType(module)
    found.SentenceTransformer = lambda name: model
    found.TextEmbedding = lambda model_name: model
    found.StaticModel = SimpleNamespace(from_pretrained=lambda name: model)
    return found


@pytest.mark.parametrize(("module", "package", "adapter", "make"), MODELS, ids=[row[0] for row in MODELS])
def test_models_are_loaded_by_name_or_given(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, adapter: Any, make: Callable[[], Any]
) -> None:
    monkeypatch.setitem(sys.modules, module, stand_in(module, make()))
    for embedder, fingerprint in (
        (adapter("some/model"), f"{package}/some/model"),
        (adapter(make(), fingerprint="mine"), "mine"),
    ):
        assert (embedder.dim, embedder.fingerprint) == (3, fingerprint)
        assert embedder.embed_documents(TEXTS).tolist() == letters(TEXTS)
        assert embedder.embed_query(TEXTS[1]).tolist() == letters(TEXTS)[1]


def test_sentence_transformers_before_version_5() -> None:
    model = sentence_transformers()
    del model.encode_document, model.encode_query
    embedder = embed.SentenceTransformersEmbedder(model, "old")
    assert embedder.embed_query("a").tolist() == letters(["a"])[0]


def test_queries_have_their_own_method() -> None:
    chain = SimpleNamespace(embed_documents=letters, embed_query=lambda text: [7, 8, 9])
    index = SimpleNamespace(get_text_embedding_batch=letters, get_query_embedding=lambda text: [7, 8, 9])
    for embedder in (embed.LangChainEmbedder(chain, 3, "chain"), embed.LlamaIndexEmbedder(index, 3, "index")):
        assert embedder.embed_documents(TEXTS).tolist() == letters(TEXTS)
        assert embedder.embed_query("a").tolist() == [7, 8, 9]


@pytest.mark.parametrize("package", ["langchain_core", "llama_index.core"])
def test_the_real_base_classes_fit(package: str) -> None:
    module = pytest.importorskip(f"{package}.embeddings")
    if package == "langchain_core":
        fake: Any = module.DeterministicFakeEmbedding(size=5)
        embedder: embed.Embedder = embed.LangChainEmbedder(fake, 5, "fake")
    else:
        embedder = embed.LlamaIndexEmbedder(module.MockEmbedding(5), 5, "fake")
    assert embedder.embed_documents(TEXTS).shape == (3, 5)
    assert embedder.embed_query("a").shape == (5,)


def test_texts_without_a_vector_are_embedded(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        assert (collection.dim, collection.fingerprint) == (3, "letters")
        collection.upsert(["cat", "hen"], texts=TEXTS[:2])
        collection.upsert(["eel", "own", "bare"], [None, [1, 2, 3], None], [TEXTS[2], "own", None])
        collection.upsert(["array"], np.array([[3.0, 2, 1]]), ["array"])
        got = [each and each.vector for each in collection.get(["cat", "hen", "eel", "own", "bare", "array"])]
    assert [None if vector is None else vector.tolist() for vector in got] == [
        *letters(TEXTS),
        [1, 2, 3],
        None,
        [3, 2, 1],
    ]


def test_errors_name_the_record_beside_records_without_a_vector(tmp_path: Path) -> None:
    ids = ["none", "good", "bad"]
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        for write in (collection.upsert, collection.add, collection.update):
            for texts in (None, ["embedded", None, None]):
                with pytest.raises(tiercel.InvalidInputError, match=r"^vectors: .* got NaN at row 2, column 1$"):
                    write(ids, [None, [1, 2, 3], [1, np.nan, 3]], texts)
        with pytest.raises(tiercel.InvalidInputError, match=r"^vectors: .* a direction .* got norm 0 at row 2$"):
            collection.upsert(ids, [None, [1, 2, 3], [0, 0, 0]])
        with pytest.raises(tiercel.InvalidInputError, match=r"^vectors: .* without a mask, got a masked one at row 2"):
            collection.upsert(ids, [None, [1, 2, 3], np.ma.array([1, 2, 3], mask=[0, 1, 0])])
        assert len(collection) == 0
    embedder = from_callable(lambda texts: [[np.nan if text == "bad" else 1] for text in texts], 1, "broken")
    with (
        tiercel.open(tmp_path / "broken", embedder=embedder) as collection,
        pytest.raises(tiercel.InvalidInputError, match=r"got NaN or infinity for text 2$"),
    ):
        collection.upsert(ids, [None, [1], None], [None, "good", "bad"])


def test_a_text_is_searched_by_words_and_by_vector(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert(["cat", "hen", "eel"], texts=TEXTS)
        found = collection.search(text="mud", explain=True)
        assert found.plan is not None
        assert found.plan["way"] == "hybrid"
        assert set(found.ids) == {"cat", "hen", "eel"}
        given = collection.search([1, 0, 0], "mud")
        assert given.distances.tolist() == pytest.approx(
            [collection.search([1, 0, 0]).distances[collection.search([1, 0, 0]).ids.index(name)] for name in given.ids]
        )


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    tiercel.open(tmp_path / "with", embedder=Letters()).close()
    tiercel.open(tmp_path / "without", dim=3).close()
    other = from_callable(letters, 3, "others")
    for directory, embedder, message in (
        ("with", other, "embedder: expected 'letters', as in the collection, got 'others'"),
        ("with", HashingEmbedder(), "as in the collection"),
        ("without", Letters(), "embedder: expected None, since the collection has vectors, or a dim, from before"),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            tiercel.open(tmp_path / directory, embedder=embedder)
    with pytest.raises(tiercel.InvalidInputError, match="dim: expected 3, the dim of the embedder, got 4"):
        tiercel.open(tmp_path / "with", dim=4, embedder=Letters())
    with pytest.raises(tiercel.InvalidInputError, match="embedder: expected an object with embed_documents, got str"):
        tiercel.open(tmp_path / "new", embedder="letters")
    assert not (tmp_path / "new").exists()
    with tiercel.open(tmp_path / "with") as without:
        assert without.search([1, 0, 0]).ids == []
    tiercel.open(tmp_path / "with", embedder=Letters()).close()


def test_an_embedder_that_fails_changes_nothing(tmp_path: Path) -> None:
    def refuse(texts: list[str]) -> object:
        raise ConnectionError("no model today")

    with tiercel.open(tmp_path, embedder=from_callable(refuse, 3, "letters")) as collection:
        with pytest.raises(ConnectionError):
            collection.upsert(["cat"], texts=["a cat"])
        with pytest.raises(ConnectionError):
            collection.search(text="cat")
        assert collection.upsert(["cat"], [[1, 2, 3]], ["a cat"]) == 1
        with pytest.raises(tiercel.InvalidInputError, match=r"metadata\[0\]"):
            collection.upsert(["hen"], texts=["a hen"], metadata=[{"x": object()}])
        assert len(collection) == 1


def test_texts_alone_are_refused_where_the_embedder_is_missing(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "zoo", embedder=Letters()) as collection:
        collection.upsert(["cat", "hen"], texts=TEXTS[:2])
    with tiercel.open(tmp_path / "zoo") as collection:
        refusal = r"texts\[1\]: expected a vector beside it, .* the embedder 'letters', .* or open with embedder="
        with pytest.raises(tiercel.InvalidInputError, match=refusal):
            collection.upsert(["eel", "cat"], texts=[None, "a cat sleeps long"])
        with pytest.raises(tiercel.InvalidInputError, match=r"texts\[0\]: expected a vector beside it"):
            collection.upsert("cat", texts="a cat sleeps long")
        assert [match.vector is None for match in collection.scan(include=["vector"])] == [False, False]
        # No text, a vector from elsewhere, and an explicit None are all accepted.
        collection.upsert("note", metadata={"year": 2020})
        collection.upsert("eel", letters(TEXTS[2:])[0], texts=TEXTS[2])
        collection.upsert(["word", "hen"], [None, letters(TEXTS[1:2])[0]], texts=["a word", TEXTS[1]])
        found = {match.id: match.vector is None for match in collection.scan(include=["vector"])}
        assert found == {"cat": False, "note": True, "eel": False, "word": True, "hen": False}
    with pytest.raises(tiercel.ClosedError):
        collection.upsert("cat", texts="a cat")
    with tiercel.open(tmp_path / "zoo", mode="r") as reader, pytest.raises(tiercel.InvalidInputError, match="mode"):
        reader.upsert("cat", texts="a cat")


def test_a_blank_text_finds_nothing(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert(["cat", "eel"], texts=["a cat sleeps", "an eel sleeps in mud"])
        for blank in ("", "  ", "\n\u3000"):
            assert collection.search(blank).ids == []
            assert collection.search(blank, alpha=1).ids == []
            many = collection.search_many([blank, "cat", blank, "mud"], k=1)
            assert [found.ids for found in many] == [[], ["cat"], [], ["eel"]]
            assert [found.ids for found in collection.search_many([blank])] == [[]]
            assert set(collection.search([1, 0, 0], blank).ids) == {"cat", "eel"}, "a blank text changes nothing"


def test_a_blank_text_has_no_vector(tmp_path: Path) -> None:
    seen: list[str] = []

    def lengths(texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return [[len(text), 1] for text in texts]

    with tiercel.open(tmp_path, embedder=from_callable(lengths, 2, "lengths")) as collection:
        collection.upsert(["empty", "cat", "blank"], texts=["", "a cat", " \n"])
        collection.add(["own", "new"], [[1, 1], None], texts=["", ""])
        assert seen == ["a cat"]
        vectors = {match.id: match.vector for match in collection.scan(include=["vector"])}
        assert {name for name, vector in vectors.items() if vector is not None} == {"cat", "own"}
        assert set(collection.search([1, 1]).ids) == {"cat", "own"}
        # The vector of the old text would stay.
        with pytest.raises(tiercel.InvalidInputError, match=r"^texts\[1\]: .* got a blank text, .* upsert"):
            collection.update(["empty", "cat"], texts=["a hen", " "])
        assert collection.update(["empty", "cat"], [None, [3, 1]], texts=["a hen", ""]) == 2
        found = collection.get("cat", include=["text", "vector"])
        assert found is not None
        assert found.vector is not None
        assert (found.text, found.vector.tolist()) == ("", [3, 1])


def test_nothing_is_embedded_for_a_write_that_is_refused(tmp_path: Path) -> None:
    seen: list[str] = []

    def lengths(texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return [[len(text), 1] for text in texts]

    with tiercel.open(tmp_path, embedder=from_callable(lengths, 2, "lengths")) as collection:
        for write, message in (
            (lambda: collection.update(["a", "b"], texts=["a hen", " "]), r"^texts\[1\]: .* got a blank text"),
            (lambda: collection.add(["a", "a"], texts=["a hen", "a cat"]), "^ids: expected different ids"),
            (lambda: collection.upsert("a", texts="a hen", if_sequence=-1), "^if_sequence: expected an int"),
            (lambda: collection.update("a", texts="a hen", if_sequence=-1), "^if_sequence: expected an int"),
            (lambda: collection.upsert(["a", "b"], [None, np.nan], ["a hen", "a cat"]), r"^vectors\[1\]: expected"),
        ):
            with pytest.raises(tiercel.InvalidInputError, match=message):
                write()
    assert seen == []


def test_a_blank_text_needs_no_embedder(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert(["cat", "hen"], texts=TEXTS[:2])
    with tiercel.open(tmp_path) as collection:
        assert collection.upsert(["cat", "owl"], texts=["", " \n"]) == 2
        assert collection.add("eel", texts="") == 1
        with pytest.raises(tiercel.InvalidInputError, match=r"^texts\[1\]: expected a vector beside it"):
            collection.upsert(["cat", "owl"], texts=["", "an owl"])
        # The vector of the old text would stay.
        with pytest.raises(tiercel.InvalidInputError, match=r"^texts\[0\]: expected a vector beside it"):
            collection.update("hen", texts="")
        with_vector = [match.id for match in collection.scan(include=["vector"]) if match.vector is not None]
        assert with_vector == ["hen"]


def test_a_collection_without_its_embedder_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tiercel")
    message = f"collection {tmp_path}: opened without its embedder 'letters': texts are searched by words alone"
    tiercel.open(tmp_path, embedder=Letters()).close()
    assert message not in caplog.messages
    for mode in ("rw", "r"):
        caplog.clear()
        tiercel.open(tmp_path, mode=mode).close()
        assert message in caplog.messages
        caplog.clear()
        tiercel.open(tmp_path, mode=mode, embedder=Letters()).close()
        assert message not in caplog.messages


def test_a_coroutine_ends_whatever_an_embedder_raises(tmp_path: Path) -> None:
    """A future accepts no StopIteration, and would never end."""

    def stops(_: list[str]) -> Any:
        return next(iter(()))

    async def main() -> None:
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await collection.aupsert("a", texts="a cat sleeps")
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await collection.asearch(text="cats", k=1)

    with tiercel.open(tmp_path / "new", embedder=from_callable(stops, dim=4, fingerprint="stops")) as collection:
        with pytest.raises(StopIteration):
            collection.upsert("a", texts="a cat sleeps")
        asyncio.run(main())
