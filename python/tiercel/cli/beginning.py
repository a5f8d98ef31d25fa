"""Restores a directory that a command was filling when it failed."""

import re
from contextlib import suppress
from pathlib import Path

from tiercel import Collection, TiercelError
from tiercel.paths import absolute

# The file that keeps other processes out while it exists.
_LOCK = "LOCK"
# Files that a collection creates. Any other new file belongs to somebody else.
_OURS = re.compile(r"(records|view|LOCK|log-\d+|[\w-]{1,100}\.seg)(\.[0-9a-f]+\.tmp)?", re.ASCII)
# Attempts to remove files that a thread may still be creating, until their directory is gone.
_ATTEMPTS = 100


class Beginning:
    """The contents of a path before the command."""

    def __init__(self, path: str) -> None:
        self._directory = Path(absolute(path))
        self._missing = [each for each in (self._directory, *self._directory.parents) if not each.exists()]
        self._names = {file.name for file in self._directory.iterdir()} if self._directory.is_dir() else set[str]()

    @property
    def is_empty(self) -> bool:
        """Whether the path was missing or empty."""
        return not self._names

    def is_of(self, collection: Collection) -> bool:
        """Whether a collection, open to write, was created here since and has no batch yet."""
        return self.is_empty and Path(collection.path) == self._directory and collection.stats()["sequence"] == 0

    def take_back(self, collection: Collection) -> None:
        """Remove a collection that was created since, and close it."""
        self._remove()
        with suppress(TiercelError, OSError):
            collection.close()
        self._remove_directories()

    def restore(self) -> None:
        """Remove what was created since, even by an abandoned thread that may still be running."""
        for _ in range(_ATTEMPTS):
            self._remove()
            self._remove_directories()
            if not self._missing or not self._directory.exists():
                return

    def _remove(self) -> None:
        files = list(self._directory.iterdir()) if self._directory.is_dir() else []
        # `LOCK` goes last: while it exists nobody else opens the collection, and once it is gone
        # the process that has the collection open writes nothing more.
        for file in sorted(files, key=lambda file: file.name == _LOCK):
            if file.name not in self._names and _OURS.fullmatch(file.name):
                with suppress(OSError):
                    file.unlink()

    def _remove_directories(self) -> None:
        for directory in self._missing:
            # Somebody may have put a file there.
            with suppress(OSError):
                directory.rmdir()
