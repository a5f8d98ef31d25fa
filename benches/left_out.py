"""Queries of the data, asked again with words left out."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# How many words to leave out of a number of words. No query of the data has fewer than four.
DROPS: dict[str, Callable[[int], int]] = {
    "1 word": lambda _: 1,
    "2 words": lambda _: 2,
    "a fifth of the words": lambda words: max(1, round(words / 5)),
}

Vectors = NDArray[np.float32]


def dropped(text: str, drop: Callable[[int], int], rng: random.Random) -> str:
    """Return a text without some of its words."""
    words = text.split()
    kept = rng.sample(range(len(words)), len(words) - drop(len(words)))
    return " ".join(words[at] for at in sorted(kept))


def reworded(model: Path, data: Path, queries: Vectors) -> dict[str, Vectors]:
    """Embed the queries once more for each way to leave out words."""
    from minilm import MiniLM

    minilm = MiniLM(model)
    with gzip.open(data / "queries.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line, _ in zip(file, queries, strict=False)]
    if not np.allclose(minilm.embed(texts[:100]), queries[:100], atol=1e-3):
        raise SystemExit(f"--model: expected the model that the queries were embedded with, got {model}")
    rng = random.Random(7)
    return {what: minilm.embed([dropped(text, drop, rng) for text in texts]) for what, drop in DROPS.items()}
