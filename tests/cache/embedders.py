"""What tests of the embedding cache share: an embedder that remembers, and the least of a tier."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np


class Embedder:
    """Remembers what it was asked for, and may be stopped on the way."""

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
    """The least that a tier has."""

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value
