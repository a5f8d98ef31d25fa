"""The embedder that needs no model. Import from `tiercel`, not from here."""

from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

@final
class HashingEmbedder:
    """An embedder without a model: it hashes the words of a text, and parts of them, into a unit
    vector.

    It is lexical: texts are near if they share words or parts of words, whatever they mean. It
    needs no download and returns the same vectors on every machine, and in every version that finds
    the same words: these follow the Unicode tables that it was built with. All texts without words
    have the same vector.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768. In longer vectors, fewer words collide.
    seed : int
        Seed of the hash, 0 to 2**64 - 1.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range.

    Examples
    --------
    >>> from tiercel.embed import HashingEmbedder
    >>> embedder = HashingEmbedder(dim=384)
    >>> dogs, birds = embedder.embed_documents(("a dog barks", "birds sing"))
    >>> query = embedder.embed_query("barking dogs")
    >>> bool(query @ dogs > query @ birds)
    True
    """

    def __new__(cls, dim: int = 384, seed: int = 0) -> Self: ...
    @property
    def dim(self) -> int:
        """Length of every vector."""
    @property
    def fingerprint(self) -> str:
        """Identifies the embedder; equal for equal `dim` and `seed`."""
    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts to be found; returns dtype float32, shape `(len(texts), dim)`.

        Raises
        ------
        InvalidInputError
            `texts` is not a sequence of strings that UTF-8 can encode.
        """
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a text to search for; returns dtype float32, shape `(dim,)`.

        Raises
        ------
        InvalidInputError
            `text` is not a string that UTF-8 can encode.
        """
    def __getnewargs__(self) -> tuple[int, int]:
        """Pickle support."""
