"""Creating a collection or a tier in a directory, and cleaning up if that fails."""

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tiercel.errors import AlreadyOpenError

__all__ = ["COLLECTION_LOG", "TIER_LOG", "nothing_left"]

# Length of a log without records, in bytes.
COLLECTION_LOG: Final = 512
TIER_LOG: Final = 28
_LOCK: Final = "LOCK"
_LOG: Final = "log-1"
_FILES: Final = frozenset((_LOCK, _LOG, "synced"))
_DIRECTORIES: Final = frozenset(("ledger", "blobs"))
# Files that file systems and desktops create on their own.
_COMES_BY_ITSELF: Final = frozenset(("lost+found", ".DS_Store"))


@contextmanager
def nothing_left(path: str, log: int) -> Generator[None]:
    """Restore a directory and its parents if creating a collection or a tier in it fails.

    The directory stays if it contains anything else by then, or if another process holds its lock.

    Parameters
    ----------
    path
        The directory. If it was not empty before, everything in it stays.
    log
        Length of a log without records: a longer one has records, and stays.
    """
    directory = Path(path)
    missing: list[Path] = []
    was_empty = False
    # If the path is bad, opening it raises a better error.
    with suppress(OSError, ValueError):
        directory = directory.absolute()
        missing = [each for each in (directory, *directory.parents) if not os.path.lexists(each)]
        was_empty = bool(missing) or not _names(directory)
    try:
        yield
    except AlreadyOpenError:
        raise
    except BaseException:
        # Windows has no such locks, so files stay there.
        if was_empty and sys.platform != "win32":
            with suppress(OSError):
                _empty(directory, log)
        for each in missing:
            # Another process may have put something there.
            with suppress(OSError):
                each.rmdir()
        raise


def _names(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()} - _COMES_BY_ITSELF


def _empty(directory: Path, log: int) -> None:
    import fcntl

    parts = [directory, *(directory / name for name in _DIRECTORIES)]
    with ExitStack() as held:
        # These locks keep other processes out. Whatever those have begun meanwhile stays.
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
    """Whether nothing has been stored there yet."""
    names = _names(part)
    if not names <= _FILES | _DIRECTORIES:
        return False
    there = part / _LOG
    return not os.path.lexists(there) or there.lstat().st_size <= log
