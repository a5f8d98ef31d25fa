"""Files that appear under their name only when they are complete."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from tiercel import TiercelError
from tiercel.cli.paths import is_stream

_COUNTER = count()


@contextmanager
def new_file(path: str) -> Generator[BinaryIO]:
    """Open a file to write. It is on disk under its name when the block ends.

    If the block fails, nothing has changed. An older file is replaced as a whole, and the new one
    gets its permissions. A link is replaced, not followed. A pipe or a device is written directly.
    Errors of the system name the file.
    """
    with _named(path):
        target = Path(path)
        if is_stream(target):
            with target.open("wb") as file:
                yield file
            return
        temporary, file = _beside(target)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        # Errors of a collection that is read meanwhile already name a path.
        if not isinstance(error, TiercelError) and error.errno is not None:
            error.filename, error.filename2 = path, None
        raise


def _beside(target: Path) -> tuple[Path, BinaryIO]:
    """Create a file with the permissions of the one to replace, so that others never read more."""
    old = target.stat().st_mode & 0o777 if target.exists() else None
    while True:
        temporary = target.with_name(f".tiercel-{os.getpid()}-{next(_COUNTER)}.tmp")
        # A killed process may have left a file of this name.
        with suppress(FileExistsError):
            number = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if old is None else 0o600)
            file = os.fdopen(number, "wb")
            if old is not None:
                with suppress(OSError):
                    temporary.chmod(old)
            return temporary, file
