"""Disks that are soon full."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(where: Path, size: str) -> Generator[Path]:
    """A disk of so many bytes, such as "256k"; the test is skipped where none can be mounted."""
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
    mounted = False
    with suppress(OSError):
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("only root may mount a small disk")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(directory: Path) -> None:
    """Take what room is left on a disk."""
    with suppress(OSError), (directory / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
