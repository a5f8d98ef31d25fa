"""Scores of texts are those of BM25, compared with a few lines of numpy and with bm25s."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tiercel

DOCUMENTS = 1000
K1, B = 1.2, 0.75

Words = list[list[str]]
Score = Callable[[list[str]], NDArray[np.float64]]


def words_of(texts: tuple[str, ...]) -> Words:
    """Words that every tokenizer splits in the same way."""
    return [re.findall("[a-z0-9]+", text.lower()) for text in texts]


def plain(documents: Words) -> Score:
    """Robertson and Zaragoza 2009, with Lucene's weight of a term."""
    counts = [Counter(words) for words in documents]
    lengths = np.array([len(words) for words in documents])
    norm = K1 * (1 - B + B * lengths / lengths.mean())

    def scores(query: list[str]) -> NDArray[np.float64]:
        total = np.zeros(len(documents))
        for word in query:
            tf = np.array([count[word] for count in counts])
            df = (tf > 0).sum()
            total += np.log1p((len(documents) - df + 0.5) / (df + 0.5)) * tf / (tf + norm)
        return total

    return scores


def of_bm25s(documents: Words) -> Score:
    bm25s = pytest.importorskip("bm25s")
    index = bm25s.BM25(k1=K1, b=B, method="lucene")
    index.index(documents, show_progress=False)
    known = set().union(*documents)
    return lambda query: index.get_scores([word for word in query if word in known])


@pytest.mark.parametrize("reference", [plain, of_bm25s])
def test_scores_are_those_of_a_reference(reference: Callable[[Words], Score], tmp_path: Path) -> None:
    sample = tiercel.datasets.load_wordnet_sample()
    documents, queries = words_of(sample.texts[:DOCUMENTS]), words_of(sample.query_texts[:40])
    scores_of = reference(documents)
    with tiercel.open(tmp_path, language=None) as collection:
        # In parts, the first of them twice: neither segments nor dead rows may affect a score.
        ids = [str(row) for row in range(DOCUMENTS)]
        texts = [" ".join(words) for words in documents]
        for start in (0, 0, 300, 600, 900):
            collection.upsert(ids[start : start + 300], texts=texts[start : start + 300])
        for query in [*queries, ["the", "the", "of"]]:
            expected = scores_of(query)
            found = collection.search(text=" ".join(query), k=DOCUMENTS)
            assert len(found) == (expected > 0).sum()
            got = np.zeros(DOCUMENTS)
            got[[int(name) for name in found.ids]] = found.scores
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
