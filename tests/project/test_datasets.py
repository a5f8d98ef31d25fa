"""The WordNet sample matches its documentation."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tiercel
from tiercel.datasets import WordnetSample, load_wordnet_sample

FILES = Path(tiercel.datasets.__file__).parent / "wordnet"


@pytest.fixture(scope="module")
def sample() -> WordnetSample:
    return load_wordnet_sample()


def test_shapes_and_types(sample: WordnetSample) -> None:
    assert (sample.vectors.shape, sample.vectors.dtype) == ((5000, 384), np.float32)
    assert (sample.queries.shape, sample.queries.dtype) == ((200, 384), np.float32)
    assert (sample.relevant.shape, sample.relevant.dtype) == ((200,), np.uint64)
    assert len(sample.texts) == len(set(sample.ids)) == 5000
    assert len(sample.query_texts) == 200


def test_vectors_have_unit_length(sample: WordnetSample) -> None:
    for vectors in (sample.vectors, sample.queries):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_texts_and_vectors_belong_together(sample: WordnetSample) -> None:
    assert all(text and ": " in text for text in sample.texts)
    nearest = np.argsort(-(sample.queries @ sample.vectors.T), axis=1)[:, :10]
    found = (nearest == sample.relevant[:, None]).any(axis=1)
    # Exact search over these embeddings finds 129; another order of summation may move one or two
    # across the tenth place.
    assert abs(int(found.sum()) - 129) <= 2


def test_a_query_is_no_document(sample: WordnetSample) -> None:
    assert not set(sample.query_texts) & set(sample.texts)
    assert (sample.relevant < 5000).all()


def test_the_sample_cannot_be_reassigned(sample: WordnetSample) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.texts = ()  # type: ignore[misc]


def test_files_are_small_and_carry_their_licence() -> None:
    assert sum(path.stat().st_size for path in FILES.iterdir()) <= 3_000_000
    licence = (FILES / "LICENSE").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
