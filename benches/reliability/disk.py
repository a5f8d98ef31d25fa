"""A disk whose power can be cut, made of two ext4 file systems: the disk of one is a file on the
other.

A program's writes wait in the page cache of the inner file system until it writes them to its disk,
a file on the outer file system. There they wait in the page cache of the outer one until the inner
one asks its disk to flush. The outer page cache thus acts as the volatile cache of the inner disk.
To cut the power, the outer file system is shut down at once (`EXT4_IOC_SHUTDOWN` without a flush of
its journal): from then on nothing is written, and both caches are lost. Then both are mounted
again, as after a power cut, and replay their journals.

A power cut also stops the processor, so writers must be stopped first: a process that outlives its
disk may be told that a failed sync succeeded. In about one of nine hundred cuts this happened to a
program that only calls `pwrite` and `fdatasync`.
"""

import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
import time
from pathlib import Path

# _IOR('X', 125, __u32), and its argument EXT4_GOING_FLAGS_NOLOGFLUSH.
SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = struct.pack("I", 2)
# SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
WRITE_AND_WAIT = 7
CLONE_NEWNS = 0x20000
# MS_REC | MS_PRIVATE
MS_PRIVATE_ALL = 0x44000

OUTER_BYTES = 384 << 20
INNER_BYTES = 256 << 20
RANGE = 1 << 20
# Attempts before it is an error.
UNMOUNTS = 3000

libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Return why no disk can be made here, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "mounting needs root"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount", "losetup") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if not Path("/dev/loop-control").exists() or run("losetup", "--find", check=False) != 0:
        return "there are no loop devices"
    return None


def run(*command: str | Path, check: bool = True) -> int:
    """Run a command and discard its output."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
    return done.returncode


def mounts_of_own() -> None:
    """Unshare the mounts of this thread and its children, so that they end with the last one."""
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_PRIVATE_ALL, None) != 0:
        raise OSError(ctypes.get_errno(), "mounts of its own are refused")


class Disk:
    """A disk mounted at `root`. Call `mounts_of_own` first, so that no mount outlives the process."""

    keeps_writes = False

    def __init__(self, directory: Path) -> None:
        self.outer, self.root = directory / "outer", directory / "inner"
        self.outer_image, self.inner_image = directory / "outer.img", self.outer / "inner.img"
        self.outer.mkdir()
        self.root.mkdir()
        with self.outer_image.open("wb") as file:
            file.truncate(OUTER_BYTES)
        run("mkfs.ext4", "-q", "-F", self.outer_image)
        self._mount(self.outer_image, self.outer)
        # Write it in full, so that later writes change no metadata of the outer file system.
        with self.inner_image.open("wb") as file:
            for _ in range(INNER_BYTES >> 20):
                file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", self.inner_image)
        self._mount(self.inner_image, self.root)

    def crash(self, rng: random.Random) -> None:
        """Cut the power. The disk may have written back a part of its cache just before."""
        self._write_back_some(rng)
        self._shut_down(self.outer)
        self._shut_down(self.root)

    def recover(self) -> None:
        """Mount again after a power cut. No file there may be open."""
        self.unmount()
        self._mount(self.outer_image, self.outer)
        self._mount(self.inner_image, self.root)

    def unmount(self) -> None:
        """Unmount both, along with their loop devices."""
        for path in (self.root, self.outer):
            # A process that searches for a free loop device briefly holds the one of the inner
            # disk.
            for _ in range(UNMOUNTS):
                if not path.is_mount() or run("umount", path, check=False) == 0:
                    break
                time.sleep(0.02)
            else:
                run("umount", path)

    def _mount(self, image: Path, path: Path) -> None:
        # Without access and change times, a flush of the inner disk is no outer transaction.
        run("mount", "-o", "loop,noatime,lazytime", image, path)

    def _shut_down(self, path: Path) -> None:
        directory = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, SHUTDOWN, WITHOUT_FLUSH)
        finally:
            os.close(directory)

    def _write_back_some(self, rng: random.Random) -> None:
        image = os.open(self.inner_image, os.O_RDONLY)
        try:
            for place in rng.sample(range(INNER_BYTES // RANGE), rng.choice([0, 0, 20, 100])):
                libc.sync_file_range(image, ctypes.c_int64(place * RANGE), ctypes.c_int64(RANGE), WRITE_AND_WAIT)
        finally:
            os.close(image)
