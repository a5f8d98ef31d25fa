"""Loads arrays from files, with errors that name the argument."""

import tokenize
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tiercel import Index
from tiercel.cli.interrupts import interruptible
from tiercel.errors import InvalidInputError

_MAGIC = b"\x93NUMPY"
# A damaged header fails in numpy's tokenizer, parser or evaluation.
_DAMAGED = (ValueError, OverflowError, TypeError, SyntaxError, RecursionError, tokenize.TokenError)


Raw: TypeAlias = Literal["memory", "disk", "none"]
Rerank: TypeAlias = Literal["full", "f16", "none"]


def load_index(path: str, *, raw: Raw = "memory", rerank: Rerank | None = None) -> Index:
    """Load a saved index. For a directory, say which commands read a collection."""
    if Path(path).is_dir():
        raise InvalidInputError(
            f"FILE: expected a saved index, got the directory {path}; tiercel query and tiercel stats read a collection"
        )
    return interruptible(lambda: Index.load(path, raw=raw, rerank=rerank or "full"))


def load_array(path: str, argument: str, ranks: tuple[int, ...]) -> NDArray[Any]:
    """Map a `.npy` file into memory. Pickled objects are refused: a file of data must not run code."""
    if not Path(path).exists():
        raise InvalidInputError(f"{argument}: expected a .npy file, got {path}, which does not exist")
    if Path(path).is_dir():
        raise InvalidInputError(f"{argument}: expected a .npy file, got the directory {path}")
    if not Path(path).is_file():
        raise InvalidInputError(f"{argument}: expected a .npy file, got {path}, which is a pipe or a device")
    with Path(path).open("rb") as file:
        magic = file.read(len(_MAGIC))
    if magic != _MAGIC:
        raise InvalidInputError(f"{argument}: expected a .npy file, got {path}, which is not one")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGED as error:
        raise InvalidInputError(f"{argument}: expected a .npy file of numbers, got {path}: {error}") from error
    if array.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise InvalidInputError(f"{argument}: expected {expected} dimensions, got {array.ndim}, shape {array.shape}")
    return array
