"""What is asked of a store, and the graph that those beside tiercel build."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from data import Vectors
from numpy.typing import NDArray

M = 16
EF_CONSTRUCTION = 200
EFFORTS = [20, 24, 28, 34, 40, 48, 56, 68, 80, 96, 112, 136, 160, 192, 224, 272, 320, 400]
"""Candidates kept during a walk."""


class Store(Protocol):
    """A store with one collection."""

    about: str
    """With which settings it is used."""
    efforts: Sequence[float]
    """What a search may spend, the least first."""

    def create(self, path: Path, dim: int) -> None: ...
    def open(self, path: Path) -> tuple[int, int]:
        """Open what was created and closed; how many records it has, and the length of their vectors."""
        ...

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        """Upsert a batch; back when it is acknowledged."""
        ...

    def wait_idle(self) -> None:
        """Wait until searches use an index of everything."""
        ...

    def exert(self, effort: float) -> None:
        """Spend so much on the searches that follow."""
        ...

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        """Ids of the nearest, filtered by the rare part of speech; `whole` with text and metadata, read."""
        ...

    def close(self) -> None: ...


def flat(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without a list, which not every store takes."""
    return metadata | {"words": ", ".join(metadata["words"])}
