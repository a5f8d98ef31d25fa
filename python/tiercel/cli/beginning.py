"""A directory that a command fills and, if the command fails, leaves as it was."""

import re
from contextlib import suppress
from pathlib import Path

from tiercel import Collection, TiercelError
from tiercel.paths import absolute

# What keeps others out as long as it is there.
_LOCK = "LOCK"
# Files that a collection makes. Whatever else has come there meanwhile is somebody else's.
_OURS = re.compile(r"(records|view|LOCK|log-\d+|[\w-]{1,100}\.seg)(\.[0-9a-f]+\.tmp)?", re.ASCII)
# How often files are removed while somebody may still be making them. Nobody can once their directory is gone.
_ATTEMPTS = 100


class Beginning:
    """What stood at a path before the command."""

    def __init__(self, path: str) -> None:
        self._directory = Path(absolute(str(Path(path).expanduser())))
        self._missing = [each for each in (self._directory, *self._directory.parents) if not each.exists()]
        self._names = {file.name for file in self._directory.iterdir()} if self._directory.is_dir() else set[str]()

    @property
    def is_empty(self) -> bool:
        """Whether nothing stood there."""
        return not self._names

    def is_of(self, collection: Collection) -> bool:
        """Whether the collection, which must be open to write, has been made since and holds nothing."""
        return self.is_empty and Path(collection.path) == self._directory and collection.stats()["sequence"] == 0

    def take_back(self, collection: Collection) -> None:
        """Remove a collection that was made since, and close it."""
        self._remove()
        with suppress(TiercelError, OSError):
            collection.close()
        self._remove_directories()

    def restore(self) -> None:
        """Remove what was made since, also by a thread that has been left and may still be at work."""
        for _ in range(_ATTEMPTS):
            self._remove()
            self._remove_directories()
            if not self._missing or not self._directory.exists():
                return

    def _remove(self) -> None:
        files = list(self._directory.iterdir()) if self._directory.is_dir() else []
        # While `LOCK` is there nobody else opens a collection, and once it is gone the one who has it open writes nothing more.
        for file in sorted(files, key=lambda file: file.name == _LOCK):
            if file.name not in self._names and _OURS.fullmatch(file.name):
                with suppress(OSError):
                    file.unlink()

    def _remove_directories(self) -> None:
        for directory in self._missing:
            # Somebody may have put something there.
            with suppress(OSError):
                directory.rmdir()
