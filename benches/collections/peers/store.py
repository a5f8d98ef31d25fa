"""The interface of a store, and the graph that stores other than tiercel build."""

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
    """The settings that it is used with."""
    efforts: Sequence[float]
    """Efforts that a search may spend, the least first."""

    def create(self, path: Path, dim: int) -> None: ...
    def open(self, path: Path) -> tuple[int, int]:
        """Open an existing collection; return its number of records and their vectors' length."""
        ...

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        """Upsert a batch; return when it is acknowledged."""
        ...

    def wait_idle(self) -> None:
        """Wait until searches use an index of everything."""
        ...

    def exert(self, effort: float) -> None:
        """Set the effort of the searches that follow."""
        ...

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        """Return ids of the nearest, `filtered` by part of speech; `whole` also reads text and
        metadata.
        """
        ...

    def close(self) -> None: ...


def flat(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata without lists, which not every store accepts."""
    return metadata | {"words": ", ".join(metadata["words"])}
