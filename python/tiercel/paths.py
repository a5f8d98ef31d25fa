"""Paths from callers."""

import errno
import os
from pathlib import Path
from typing import cast

from tiercel.checks import shown
from tiercel.errors import InvalidInputError, MissingFileError

__all__ = ["absolute", "path_name"]


def absolute(path: str) -> str:
    """Make a path absolute, so that it stays valid if the program changes its directory."""
    try:
        return str(Path(path).absolute())
    except FileNotFoundError:
        # No file can exist or be created there.
        raise MissingFileError(errno.ENOENT, "the current directory is gone", path) from None


def path_name(value: object, name: str) -> str:
    """Check a path, a `str`, `bytes` or `os.PathLike`, and expand a leading `~`."""
    try:
        found = os.fsdecode(cast("str", value))
        encoded = os.fsencode(found)
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{name}: expected a path, got a lone surrogate at character {error.start}") from None
    except Exception as error:
        # `__fspath__` may raise anything.
        raise InvalidInputError(f"{name}: expected a str or os.PathLike, got {shown(value):.100}") from error
    if 0 in encoded:
        raise InvalidInputError(f"{name}: expected no NUL character, got {found!r:.100}")
    if not found:
        raise InvalidInputError(f"{name}: expected a path, got an empty string; '.' is the current directory")
    home = os.path.expanduser(found)  # noqa: PTH111 - pathlib raises for a user who is unknown
    if home.startswith("~"):
        user = home.replace("\\", "/").partition("/")[0]
        raise InvalidInputError(
            f"{name}: expected ~ or ~ and a user with a home directory, got {user!r}; './{user}' is a file of this name"
        )
    return home
