"""A directory in which something is to begin, and what becomes of it when that fails: nothing of it is left."""

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tiercel.errors import AlreadyOpenError

__all__ = ["COLLECTION_LOG", "TIER_LOG", "nothing_left"]

# Bytes that a log has before the first record.
COLLECTION_LOG: Final = 512
TIER_LOG: Final = 28
_LOCK: Final = "LOCK"
_LOG: Final = "log-1"
_FILES: Final = frozenset((_LOCK, _LOG, "synced"))
_DIRECTORIES: Final = frozenset(("ledger", "blobs"))
# What a file system or a desktop puts into every directory.
_COMES_BY_ITSELF: Final = frozenset(("lost+found", ".DS_Store"))


@contextmanager
def nothing_left(path: str, log: int) -> Generator[None]:
    """If what begins in the directory meanwhile fails, the directory is again as it was, and so are those above it.

    Where anything but the beginning of a collection or a tier is there by then, or somebody else holds its lock, it stays.

    Parameters
    ----------
    path
        The directory. Where something was in it before, all of it stays.
    log
        Bytes that the log may have: with more it has records.
    """
    directory = Path(path)
    missing: list[Path] = []
    was_empty = False
    # Whatever is wrong with the path, the opening says it.
    with suppress(OSError, ValueError):
        directory = directory.absolute()
        missing = [each for each in (directory, *directory.parents) if not os.path.lexists(each)]
        was_empty = bool(missing) or not _names(directory)
    try:
        yield
    except AlreadyOpenError:
        raise
    except BaseException:
        # On Windows no lock can be had in this way, and files stay.
        if was_empty and sys.platform != "win32":
            with suppress(OSError):
                _empty(directory, log)
        for each in missing:
            # Somebody may have put something there.
            with suppress(OSError):
                each.rmdir()
        raise


def _names(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()} - _COMES_BY_ITSELF


def _empty(directory: Path, log: int) -> None:
    import fcntl

    parts = [directory, *(directory / name for name in _DIRECTORIES)]
    with ExitStack() as held:
        # Who holds these keeps others out, and what others have begun meanwhile stays.
        for lock in (part / _LOCK for part in parts):
            if os.path.lexists(lock):
                number = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                held.callback(os.close, number)
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not all(_is_beginning(part, log) for part in parts if part.is_dir()):
            return
        for part in reversed(parts):
            # The lock goes last.
            for name in sorted(_FILES, key=lambda name: name == _LOCK):
                (part / name).unlink(missing_ok=True)
            if part != directory:
                with suppress(FileNotFoundError):
                    part.rmdir()


def _is_beginning(part: Path, log: int) -> bool:
    """Whether nothing has been kept there yet."""
    names = _names(part)
    if not names <= _FILES | _DIRECTORIES:
        return False
    there = part / _LOG
    return not os.path.lexists(there) or there.lstat().st_size <= log
