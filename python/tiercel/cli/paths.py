"""Paths on the command line. A command never writes over what it reads, or into a store.

The parser marks each path as read or written, so that one check before the command sees all of
them. It also expands a leading `~`, which a shell leaves in `--into=~/notes`, so that the check and
the command mean the same file.
"""

import argparse
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Self, cast

from tiercel.cli.stores import is_store, store_around
from tiercel.errors import InvalidInputError
from tiercel.paths import path_name

# Standard input or output, if a command accepts it.
STANDARD = "-"
# A file that is opened by one of these names has a separate position, so later prints would
# overwrite earlier ones.
_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

Kind = Literal["file", "stream", "directory"]


class Reads(str):
    """A path that a command reads, or a store that it works on."""

    __slots__ = ()

    def __new__(cls, word: str) -> Self:
        """Make a path from a word of the command line."""
        return super().__new__(cls, _expanded(word))


class Writes(str):
    """A path that a command writes."""

    __slots__ = ("argument", "kind")

    argument: str
    kind: Kind


def writes(argument: str, kind: Kind = "file") -> Callable[[str], Writes]:
    """Return a function with which the parser makes a path from a word.

    Parameters
    ----------
    argument
        The name of the argument in messages.
    kind
        "file": a regular file, new or replaced. "stream": also a pipe or a device, and `-` for
        standard output. "directory": checked by the code that writes it.
    """

    def path(word: str) -> Writes:
        made = Writes(STANDARD if kind == "stream" and word in _OUTPUT else _expanded(word))
        made.argument, made.kind = argument, kind
        return made

    return path


def _expanded(word: str) -> str:
    try:
        return path_name(word, "path")
    except InvalidInputError as error:
        # The parser names the argument.
        raise argparse.ArgumentTypeError(str(error).removeprefix("path: ")) from None


def check_paths(args: argparse.Namespace) -> None:
    """Raise `InvalidInputError` if a path to write is also read, is in a store, or is unusable."""
    values = [each for value in vars(args).values() for each in _strings(value)]
    inputs = [_Input(value) for value in values if isinstance(value, Reads) and value != STANDARD]
    for target in values:
        if isinstance(target, Writes) and not (target.kind == "stream" and target == STANDARD):
            _check(target, inputs)
    _check_redirected(inputs)


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else cast("list[str]", value) if isinstance(value, list) else []


class _Identity(NamedTuple):
    """Identifies a file under any of its names."""

    device: int
    inode: int


class _Input:
    """A file that is read, or a store with all files in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._identity = _identity(Path(name))

    def is_at(self, path: Path) -> bool:
        """Whether a path leads to this input."""
        return self._identity is not None and self._identity == _identity(path)

    def has(self, file: os.stat_result) -> bool:
        """Whether a regular file is this input or a part of it, under any name."""
        wanted = _Identity(file.st_dev, file.st_ino)
        if self._identity is None or self._identity.device != wanted.device:
            return False
        return self._identity == wanted or (is_store(Path(self.name)) and self._lists(wanted))

    def _lists(self, wanted: _Identity) -> bool:
        files = (Path(directory, name) for directory, _, names in os.walk(self.name) for name in names)
        return any(_identity(file) == wanted for file in files)


def _check(target: Writes, inputs: list[_Input]) -> None:
    # The target of a link is not written, but whoever names a link may well mean its target.
    places = {Path(os.path.realpath(target)), Path(os.path.realpath(Path(target).parent), Path(target).name)}
    for each in inputs:
        if any(each.is_at(place) for place in places) or _is_hard_link(target, each):
            raise InvalidInputError(
                f"{target.argument}: expected a path that the command does not read, got {target}{_of(target, each)}"
            )
    for place in places:
        store = store_around(place.parent)
        if store is not None:
            raise InvalidInputError(
                f"{target.argument}: expected a path outside collections and caches, got {target}, which is in {store}"
            )
    if target.kind != "directory":
        _check_file(target)


def _of(target: str, read: _Input) -> str:
    return "" if target == read.name else f", which is {read.name} or a part of it"


def _is_hard_link(target: str, read: _Input) -> bool:
    there = _status(Path(target))
    return there is not None and stat.S_ISREG(there.st_mode) and there.st_nlink > 1 and read.has(there)


def _check_file(target: Writes) -> None:
    """Refuse a path that cannot be written, before hours are spent on its contents."""
    path = Path(target)
    if not path.parent.is_dir():
        raise InvalidInputError(f"{target.argument}: expected a file in a directory that exists, got {target}")
    if path.is_dir():
        raise InvalidInputError(f"{target.argument}: expected a file, got the directory {target}")
    if target.kind != "stream" and is_stream(path):
        raise InvalidInputError(f"{target.argument}: expected a file, got {target}, which is a pipe or a device")


def is_stream(path: Path) -> bool:
    """Whether a path is written directly: a pipe, a device, or another name of a descriptor."""
    parent = Path(os.path.realpath(path.parent)).parts
    # `/dev/stdout` must not be replaced, even if it leads to a file.
    in_place = parent[1:2] in {("dev",), ("proc",)} and parent[2:3] != ("shm",)
    return path.exists() and (in_place or not path.is_file())


def _check_redirected(inputs: list[_Input]) -> None:
    """Refuse a redirection of the output into a file that is read."""
    for name, descriptor in (("standard output", 1), ("standard error", 2)):
        try:
            there = os.fstat(descriptor)
        except OSError:
            continue
        for each in inputs:
            if stat.S_ISREG(there.st_mode) and each.has(there):
                raise InvalidInputError(
                    f"{name}: expected a file that the command does not read, got a part of {each.name}"
                )


def _identity(path: Path) -> _Identity | None:
    there = _status(path)
    return None if there is None else _Identity(there.st_dev, there.st_ino)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
