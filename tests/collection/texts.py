"""Helpers for tests of texts: an embedder that counts letters, and the highlights of a search."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def letters(texts: Sequence[str]) -> list[list[float]]:
    """Counts of a, e, s: a model that anyone can follow."""
    return [[text.count(letter) + 0.5 for letter in "aes"] for text in texts]


class Letters:
    """The same as an embedder independent of tiercel."""

    dim = 3
    fingerprint = "letters"

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        return np.array(letters(texts), np.float32)

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed_documents([text])[0]


def lit(match: Any) -> list[str]:
    return [match.text[start:end] for start, end in match.highlights]
