"""Helpers for tests of the embedding cache: an embedder that records calls, and a minimal tier."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np


class Embedder:
    """An embedder that records its texts, and can be paused."""

    dim = 8
    fingerprint = "model"

    def __init__(self, before: Callable[[list[str]], object] = lambda texts: None) -> None:
        self.asked: list[list[str]] = []
        self.before = before

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(list(texts))
        self.before(list(texts))
        return np.array([vector(text) for text in texts], np.float32)

    def embed_query(self, text: str) -> np.ndarray:
        return -self.embed_documents([text])[0]


def vector(text: str) -> list[float]:
    return [len(text) + 0.1, *(text.count(letter) / 3 for letter in "abcdefg")]


class Tier(dict[bytes, bytes]):
    """A minimal tier."""

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value
