"""The embedder without a model. Import from `tiercel`, not from here."""

from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

@final
class HashingEmbedder:
    """An embedder without a model: unit vectors of hashed words and parts of words. It is lexical:
    texts are near if they share words or parts of words, regardless of meaning.

    It needs no download and returns the same vectors on every machine and in every version.
    Texts without words share one vector.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768. In a longer one, fewer words share a place.
    seed : int
        Chooses the places, 0 to 2**64 - 1.

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
        """The name of this embedding; equal for equal `dim` and `seed`."""
    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts; dtype float32, shape `(len(texts), dim)`.

        Raises
        ------
        InvalidInputError
            `texts` is not a sequence of strings that UTF-8 can hold.
        """
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a text; dtype float32, shape `(dim,)`.

        Raises
        ------
        InvalidInputError
            `text` is not a string that UTF-8 can hold.
        """
    def __getnewargs__(self) -> tuple[int, int]:
        """Pickle support."""
