"""Paths on the command line: what a command reads, what it writes, and that it never writes over what it reads or into a store.

The parser marks each path as one or the other, so that one check before a command begins sees all of them.
"""

import argparse
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, cast

from tiercel.cli.stores import is_store, store_around
from tiercel.errors import InvalidInputError

# Standard input or output, where a command takes it.
STANDARD = "-"
# Opened by one of these names, a file has a position of its own, and what is printed later would write over what came first.
_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

Kind = Literal["file", "stream", "directory"]


class Reads(str):
    """A path that a command reads, or a store that it works on."""

    __slots__ = ()


class Writes(str):
    """A path that a command writes."""

    __slots__ = ("argument", "kind")

    argument: str
    kind: Kind


def writes(argument: str, kind: Kind = "file") -> Callable[[str], Writes]:
    """What makes a path of a word for the parser.

    Parameters
    ----------
    argument
        What messages call it.
    kind
        "file": a regular file, new or replaced. "stream": also a pipe or a device, and `-` for standard output. "directory": checked
        by whatever writes it.
    """

    def path(word: str) -> Writes:
        made = Writes(STANDARD if kind == "stream" and word in _OUTPUT else word)
        made.argument, made.kind = argument, kind
        return made

    return path


def check_paths(args: argparse.Namespace) -> None:
    """Raise `InvalidInputError` if a path to write is one of those that are read, lies in a store, or is none that can be written."""
    values = [each for value in vars(args).values() for each in _strings(value)]
    inputs = [_Input(value) for value in values if isinstance(value, Reads) and value != STANDARD]
    for target in values:
        if isinstance(target, Writes) and not (target.kind == "stream" and target == STANDARD):
            _check(target, inputs)
    _check_redirected(inputs)


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else cast("list[str]", value) if isinstance(value, list) else []


class _Identity(NamedTuple):
    """Tells a file from all others, whatever its names."""

    device: int
    inode: int


class _Input:
    """What is read: a file, or a store with all that lies in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._identity = _identity(Path(name))

    def is_at(self, path: Path) -> bool:
        """Whether a path leads to it."""
        return self._identity is not None and self._identity == _identity(path)

    def has(self, file: os.stat_result) -> bool:
        """Whether a regular file is it or a part of it, under any name."""
        wanted = _Identity(file.st_dev, file.st_ino)
        if self._identity is None or self._identity.device != wanted.device:
            return False
        return self._identity == wanted or (is_store(Path(self.name)) and self._lists(wanted))

    def _lists(self, wanted: _Identity) -> bool:
        files = (Path(directory, name) for directory, _, names in os.walk(self.name) for name in names)
        return any(_identity(file) == wanted for file in files)


def _check(target: Writes, inputs: list[_Input]) -> None:
    # The target of a link is not written, but whoever names a link may well mean what it leads to.
    places = {Path(os.path.realpath(target)), Path(os.path.realpath(Path(target).parent), Path(target).name)}
    for each in inputs:
        if any(each.is_at(place) for place in places) or _is_hard_link(target, each):
            raise InvalidInputError(
                f"{target.argument}: expected another path than those that are read, got {target}{_of(target, each)}"
            )
    for place in places:
        store = store_around(place.parent)
        if store is not None:
            raise InvalidInputError(
                f"{target.argument}: expected a path outside of collections and caches, got {target}, which lies in {store}"
            )
    if target.kind != "directory":
        _check_file(target)


def _of(target: str, read: _Input) -> str:
    return "" if target == read.name else f", which is {read.name} or a part of it"


def _is_hard_link(target: str, read: _Input) -> bool:
    there = _status(Path(target))
    return there is not None and stat.S_ISREG(there.st_mode) and there.st_nlink > 1 and read.has(there)


def _check_file(target: Writes) -> None:
    """Complain about a place where nothing can be written before hours are spent on what to write."""
    path = Path(target)
    if not path.parent.is_dir():
        raise InvalidInputError(f"{target.argument}: expected a file in a directory that exists, got {target}")
    if path.is_dir():
        raise InvalidInputError(f"{target.argument}: expected a file, got the directory {target}")
    if target.kind != "stream" and is_stream(path):
        raise InvalidInputError(f"{target.argument}: expected a file, got {target}, which is a pipe or a device")


def is_stream(path: Path) -> bool:
    """Whether what stands at a path is written directly: a pipe, a device, or what another name of a descriptor leads to."""
    parent = Path(os.path.realpath(path.parent)).parts
    # Nothing may take the place of `/dev/stdout`, even if that leads to a file.
    in_place = parent[1:2] in {("dev",), ("proc",)} and parent[2:3] != ("shm",)
    return path.exists() and (in_place or not path.is_file())


def _check_redirected(inputs: list[_Input]) -> None:
    """Complain if the shell sends what is printed into a file that is read."""
    for name, descriptor in (("standard output", 1), ("standard error", 2)):
        try:
            there = os.fstat(descriptor)
        except OSError:
            continue
        for each in inputs:
            if stat.S_ISREG(there.st_mode) and each.has(there):
                raise InvalidInputError(
                    f"{name}: expected another file than those that are read, got a part of {each.name}"
                )


def _identity(path: Path) -> _Identity | None:
    there = _status(path)
    return None if there is None else _Identity(there.st_dev, there.st_ino)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
