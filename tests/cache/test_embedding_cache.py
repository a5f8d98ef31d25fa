"""The embedding cache: its output is the same as without it, and no text is embedded twice."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedders import Embedder, Tier, vector
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tiercel
from tiercel import EmbeddingCache
from tiercel.cache import Memory, Store
from tiercel.embed import HashingEmbedder, from_callable
from tiercel.embedding_cache.codes import VectorCodec

MIB = 1 << 20
texts_of = st.lists(st.sampled_from(["", "a", "b", "ab", "cab", "ключ", "a\0b"]), max_size=8)


@pytest.mark.parametrize("dtype", ["sq8", "f32"])
@given(batches=st.lists(texts_of, max_size=6))
def test_only_new_texts_are_embedded_and_in_their_order(dtype: Any, batches: list[list[str]]) -> None:
    embedder, known = Embedder(), set[str]()
    cache = EmbeddingCache(embedder, Tier(), dtype=dtype)
    alone = EmbeddingCache(Embedder(), Memory(1), dtype=dtype)
    for batch in batches:
        embedder.asked.clear()
        vectors = cache.embed_documents(batch)
        new = list(dict.fromkeys(text for text in batch if text not in known))
        assert embedder.asked == ([new] if new else [])
        assert (vectors.dtype, vectors.shape) == (np.float32, (len(batch), 8))
        assert vectors.tolist() == [alone.embed_documents([text])[0].tolist() for text in batch]
        known.update(batch)
    stats = cache.stats()
    assert (stats["texts"], stats["embedded"], stats["waited"]) == (sum(map(len, batches)), len(known), 0)


def test_queries_and_documents_are_kept_apart() -> None:
    embedder = Embedder()
    cache = EmbeddingCache(embedder, Memory(MIB), dtype="f32")
    for _ in range(2):
        assert cache.embed_documents(["a"]).tolist() == [(-cache.embed_query("a")).tolist()]
    assert embedder.asked == [["a"], ["a"]]


def constant(fill: int, dim: int, fingerprint: str) -> tiercel.embed.Embedder:
    return from_callable(lambda texts: [[fill] * dim] * len(texts), dim, fingerprint)


def test_models_and_dtypes_share_a_tier_and_nothing_else() -> None:
    tier = Memory(MIB)
    models: list[tuple[int, str, Any]] = [(4, "one", "sq8"), (4, "one", "f32"), (4, "two", "sq8")]
    models += [(4, "one/sq8", "f32"), (16, "one", "f32")]
    caches = [
        EmbeddingCache(constant(fill, dim, name), tier, dtype=dtype)
        for fill, (dim, name, dtype) in enumerate(models, 1)
    ]
    for _ in range(2):
        assert [round(float(cache.embed_query("a")[0]), 4) for cache in caches] == [1, 2, 3, 4, 5]
    assert [cache.stats()["hits"] for cache in caches] == [1] * 5


def test_what_a_cache_is_named() -> None:
    assert EmbeddingCache(Embedder(), Tier()).fingerprint == "model/sq8"
    assert EmbeddingCache(Embedder(), Tier(), dtype="f32").fingerprint == "model"
    assert EmbeddingCache(Embedder(), Tier()).dim == 8


def without_bad(dim: int = 1) -> tiercel.embed.Embedder:
    return from_callable(lambda texts: [[np.nan if text == "bad" else 1] * dim for text in texts], dim, "broken")


def test_the_text_of_a_bad_vector_is_named_by_its_place_among_all_texts() -> None:
    cache = EmbeddingCache(without_bad(), Memory(MIB))
    cache.embed_documents(["good"])
    for texts, place in [(["good", "bad"], 1), (["new", "new", "good", "bad", "bad"], 3), (["bad"], 0)]:
        with pytest.raises(tiercel.InvalidInputError, match=rf"NaN or infinity for text {place}$"):
            cache.embed_documents(texts)


def test_the_record_of_a_bad_vector_is_named_behind_a_cache(tmp_path: Path) -> None:
    embedder = EmbeddingCache(without_bad(), Memory(MIB))
    with tiercel.open(tmp_path, embedder=embedder) as collection:
        collection.upsert("first", texts="good")
        with pytest.raises(tiercel.InvalidInputError, match=r"NaN or infinity for text 3$"):
            collection.upsert(["a", "b", "c", "d"], [[1], None, None, None], ["new", None, "good", "bad"])


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = st.integers(1, 5).flatmap(
    lambda dim: npst.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(dim)), elements=floats)
)


def given_vectors(vectors: np.ndarray, tier: Any, dtype: Any) -> EmbeddingCache:
    """Return a cache over an embedder that returns row 3 for the text "3"."""
    embedder = from_callable(lambda texts: vectors[[int(text) for text in texts]], vectors.shape[1], "rows")
    return EmbeddingCache(embedder, tier, dtype=dtype)


@given(vectors=matrices)
def test_codes_are_wrong_by_half_a_scale_at_most(vectors: np.ndarray) -> None:
    cache, texts = given_vectors(vectors, Tier(), "sq8"), [str(row) for row in range(len(vectors))]
    first = cache.embed_documents(texts)
    assert np.isfinite(first).all()
    assert cache.embed_documents(texts).tobytes() == first.tobytes()
    exact = vectors.astype(np.float64)
    scales = np.maximum(np.abs(exact).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
    assert (np.abs(exact - first) <= scales * (0.5 + 1e-4)).all()
    lengths = np.linalg.norm(exact, axis=1)
    errors = np.linalg.norm(exact - first, axis=1)
    assert cache.stats()["max_error"] == pytest.approx(max(errors[lengths > 0] / lengths[lengths > 0], default=0))


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal, 0.0], ids=str)
def test_the_largest_and_the_smallest_numbers_have_codes(value: float) -> None:
    cache = given_vectors(np.array([[value, -value]], np.float32), Tier(), "sq8")
    assert cache.embed_query("0").tolist() == pytest.approx([value, -value], rel=1e-6, abs=1e-38)


@given(vectors=matrices)
def test_f32_keeps_every_bit(vectors: np.ndarray) -> None:
    cache, texts = given_vectors(vectors, Tier(), "f32"), [str(row) for row in range(len(vectors))]
    for _ in range(2):
        assert cache.embed_documents(texts).tobytes() == vectors.tobytes()
    assert cache.stats()["max_error"] == 0
    assert cache.stats()["bytes"] == vectors.nbytes + 4 * len(texts)


def test_codes_take_a_quarter_of_the_room() -> None:
    tier = Tier()
    cache = EmbeddingCache(HashingEmbedder(), tier)
    cache.embed_documents(["a cat"])
    assert [len(value) for value in tier.values()] == [384 + 8] == [cache.stats()["bytes"]]


def test_vectors_can_be_written_to() -> None:
    cache = EmbeddingCache(Embedder(), Memory(MIB), dtype="f32")
    for _ in range(2):
        vectors = cache.embed_documents(["a", "a"])
        vectors[0] = 7
        assert vectors[1].tolist() != vectors[0].tolist()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([[1, np.nan]], "finite"),
        ([[1, np.inf]], "finite"),
        ([[1, 2, 3]], "shape"),
        (None, "expected"),
        ([[1, 1e300]], "finite"),
    ],
)
def test_what_is_no_vector_is_refused_and_not_kept(returned: Any, message: str) -> None:
    class Broken:
        dim, fingerprint = 2, "broken"

        def embed_documents(self, texts: Sequence[str]) -> Any:
            return returned

        def embed_query(self, text: str) -> Any:
            return returned and returned[0]

    tier = Tier()
    cache = EmbeddingCache(Broken(), tier)
    for call in (lambda: cache.embed_documents(["a"]), lambda: cache.embed_query("a")):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call()
    assert not tier
    assert cache.stats()["embedded"] == 0


@pytest.mark.parametrize("dtype", ["sq8", "f32"])
@pytest.mark.parametrize(
    "damage", [lambda v: v[:-1], lambda v: v + b"x", lambda v: b"", lambda v: b"\xff" * len(v), lambda v: "text"]
)
def test_a_value_that_is_no_vector_is_a_miss(dtype: Any, damage: Callable[[bytes], Any]) -> None:
    embedder, tier = Embedder(), Tier()
    cache = EmbeddingCache(embedder, tier, dtype=dtype)
    expected = cache.embed_documents(["a", "b"]).tolist()
    key = next(iter(tier))
    tier[key] = damage(tier[key])
    embedder.asked.clear()
    assert cache.embed_documents(["a", "b"]).tolist() == expected
    assert embedder.asked == [["a"]]
    assert cache.stats()["failures"] == 1
    assert cache.embed_documents(["a", "b"]).tolist() == expected
    assert cache.stats()["embedded"] == 3


def sealed_anew(key: bytes, vector: bytes) -> bytes:
    """A value with a correct checksum, as if another program had written nonsense."""
    return zlib.crc32(key + vector).to_bytes(4, "little") + vector


SCALE, CODES = slice(4, 8), slice(8, None)


@pytest.mark.parametrize("resealed", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda v: np.float32(3e38).tobytes() + v[CODES],
        lambda v: np.float32(np.inf).tobytes() + v[CODES],
        lambda v: np.float32(-1).tobytes() + v[CODES],
        lambda v: bytes(len(v) - 4),
        lambda v: v[SCALE] + b"\x80" + v[CODES][1:],
        lambda v: v[SCALE] + b"\x01" * len(v[CODES]),
    ],
    ids=["too large", "infinite", "negative", "zeros", "code -128", "no code 127"],
)
def test_damage_is_a_miss_even_if_it_looks_like_codes(damage: Callable[[bytes], bytes], resealed: bool) -> None:
    tier = Tier()
    cache = EmbeddingCache(Embedder(), tier)
    expected = cache.embed_documents(["a"]).tolist()
    ((key, value),) = tier.items()
    tier[key] = sealed_anew(key, damage(value)) if resealed else value[:4] + damage(value)
    assert cache.embed_documents(["a"]).tolist() == expected
    assert (cache.stats()["failures"], cache.stats()["embedded"]) == (1, 2)


@pytest.mark.parametrize("dtype", ["sq8", "f32"])
def test_any_bit_that_turns_and_the_vector_of_another_text_are_misses(dtype: Any) -> None:
    tier = Tier()
    cache = EmbeddingCache(Embedder(), tier, dtype=dtype)
    expected = cache.embed_documents(["a", "b"]).tolist()
    one, other = tier
    value = tier[one]
    for bit in range(8 * len(value)):
        damaged = bytearray(value)
        damaged[bit // 8] ^= 1 << bit % 8
        tier[one] = bytes(damaged)
        assert cache.embed_documents(["a", "b"]).tolist() == expected
        assert cache.stats()["failures"] == bit + 1
    tier[one] = tier[other]
    assert cache.embed_documents(["a", "b"]).tolist() == expected
    assert cache.stats()["failures"] == 8 * len(value) + 1


class Failing(Tier):
    """A tier whose chosen methods fail."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        if self.at == "get":
            raise ConnectionError("no tier today")
        return super().get_many(keys)[: 0 if self.at == "short" else None]

    def put(self, key: bytes, value: bytes) -> Any:
        if self.at == "put":
            raise ConnectionError("no tier today")
        return False if self.at == "full" else super().put(key, value)


@pytest.mark.parametrize(("at", "failures"), [("get", 2), ("short", 2), ("put", 4), ("full", 4)])
def test_a_tier_that_fails_is_counted_and_no_more(at: str, failures: int) -> None:
    cache = EmbeddingCache(Embedder(), Failing(at), dtype="f32")
    for _ in range(2):
        assert cache.embed_documents(["a", "b"]).tolist() == np.array([vector("a"), vector("b")], np.float32).tolist()
    stats = cache.stats()
    assert (stats["failures"], stats["hits"], stats["embedded"]) == (failures, 0, 4)


def test_a_closed_store_is_a_tier_that_fails(tmp_path: Path) -> None:
    with Store(tmp_path, MIB) as store:
        cache = EmbeddingCache(Embedder(), store)
        expected = cache.embed_query("a").tolist()
    assert cache.embed_query("a").tolist() == expected


def test_vectors_outlive_the_process_in_a_store(tmp_path: Path) -> None:
    for known in (0, 1):
        embedder = Embedder()
        with Store(tmp_path, MIB) as store:
            EmbeddingCache(embedder, store).embed_documents(["a", "b"])
        assert embedder.asked == [["a", "b"]][known:]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cache: cache.embed_documents("text"), "texts: expected a list, got str"),
        (lambda cache: cache.embed_documents(["a", 5]), r"texts\[1\]: expected a str, got int"),
        (lambda cache: cache.embed_documents(["\ud800"]), r"texts\[0\]: expected Unicode text"),
        (lambda cache: cache.embed_query(None), "text: expected a str, got NoneType"),
        (lambda cache: EmbeddingCache(Embedder(), {}), "tier: expected an object with get_many, got dict"),
        (lambda cache: EmbeddingCache(Embedder(), Tier(), dtype="sq4"), "dtype: expected 'sq8' or 'f32', got 'sq4'"),
        (lambda cache: EmbeddingCache(Embedder(), Tier(), dtype=np.array([1, 2])), r"dtype: .*, got array\(\[1, 2\]\)"),  # pyright: ignore[reportArgumentType]
        (lambda cache: EmbeddingCache("model", Tier()), "embedder: expected an object with embed_documents, got str"),
    ],
)
def test_bad_input(call: Callable[[Any], object], message: str) -> None:
    embedder = Embedder()
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(EmbeddingCache(embedder, Tier()))
    assert not embedder.asked


def test_what_the_embedder_raises_is_raised_and_the_next_call_asks_again() -> None:
    def refuse(texts: list[str]) -> None:
        if len(embedder.asked) == 1:
            raise ConnectionError("no model today")

    embedder = Embedder(refuse)
    cache = EmbeddingCache(embedder, Tier())
    with pytest.raises(ConnectionError, match="no model today"):
        cache.embed_documents(["a"])
    assert cache.embed_documents(["a"]).shape == (1, 8)


@pytest.mark.parametrize("returned", [1 + 3j, np.complex64(1), "1", b"1", np.datetime64(1, "s"), True])
def test_what_is_no_real_number_is_no_vector(returned: Any) -> None:
    """numpy would convert them to floats: a complex number to its real part."""
    made = from_callable(lambda texts: np.array([[returned] * 8 for _ in texts]), 8, "made")
    for embed in (lambda: made.embed_documents(["a"]), lambda: made.embed_query("a")):
        with pytest.raises(tiercel.InvalidInputError, match=r"expected numbers of shape .*, got values of type"):
            embed()
    lists = from_callable(lambda texts: [[returned] * 8 for _ in texts], 8, "made")
    with pytest.raises(tiercel.InvalidInputError, match="expected numbers"):
        EmbeddingCache(lists, Tier()).embed_documents(["a"])


def test_below_the_smallest_scale_the_error_is_as_stated() -> None:
    """`docs/guide/embedding-cache.md` states the error for largest values below 1.5e-36."""
    codec = VectorCodec(64, "sq8")
    rng = np.random.default_rng(3)
    for exponent in range(-45, 39, 2):
        vectors = np.clip(rng.uniform(-1, 1, (20, 64)) * 10.0**exponent, -3e38, 3e38).astype(np.float32)
        largest = np.abs(vectors.astype(np.float64)).max(axis=1, keepdims=True)
        error = np.abs(codec.decode(codec.encode(vectors)) - vectors.astype(np.float64))
        assert np.all(error <= np.maximum(largest / 254, 5.9e-39) * (1 + 1e-6)), exponent


def test_a_collection_takes_it_as_its_embedder(tmp_path: Path) -> None:
    embedder = Embedder()
    with tiercel.open(tmp_path / "codes", embedder=EmbeddingCache(embedder, Memory(MIB))) as collection:
        collection.upsert(["one", "two", "three"], texts=["a cat", "a hen", "a cat"])
        expected = collection.search(text="a cat").ids
        assert collection.search(text="a cat").ids == expected
    assert embedder.asked == [["a cat", "a hen"], ["a cat"]]
    with pytest.raises(
        tiercel.InvalidInputError, match="embedder: expected 'model/sq8', as in the collection, got 'model'"
    ):
        tiercel.open(tmp_path / "codes", embedder=embedder)
    tiercel.open(tmp_path / "floats", embedder=embedder).close()
    tiercel.open(tmp_path / "floats", embedder=EmbeddingCache(embedder, Memory(MIB), dtype="f32")).close()


def test_a_cache_tells_what_it_did() -> None:
    cache = EmbeddingCache(HashingEmbedder(dim=64), Memory(MIB))
    cache.embed_documents(["a cat", "a hen", "a cat"])
    cache.embed_documents(["a hen", "a hen", "an eel"])
    stats = cache.stats()
    assert 0 < stats.pop("seconds") < 20
    assert 0 < stats.pop("max_error") < 0.03
    assert stats == {"texts": 6, "hits": 2, "waited": 0, "embedded": 3, "calls": 2, "bytes": 3 * 72, "failures": 0}
