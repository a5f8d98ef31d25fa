"""A disk whose power can be cut, out of two ext4 file systems, one in a file of the other.

What a program writes waits in the page cache of the inner file system until that writes it to its disk, a file of the outer file
system. There it waits in the page cache of the outer one until the inner one asks its disk to flush: so the outer page cache is the
volatile cache of the inner one's disk. To cut the power is to shut the outer file system down at once (`EXT4_IOC_SHUTDOWN` without
a flush of its journal): from then on nothing is written any more, and both caches are lost. Then both are mounted again, as after a
power cut, and replay their journals.

A power cut stops the processor together with the disk, so who writes must be stopped before: a process that outlives its disk may
be told that a sync went well which failed. A program of nothing but `pwrite` and `fdatasync` was, once in some nine hundred cuts.
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
# How often it is tried before it is an error.
UNMOUNTS = 3000

libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Why no disk can be made here, if so."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "mounting needs root"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount", "losetup") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if not Path("/dev/loop-control").exists() or run("losetup", "--find", check=False) != 0:
        return "there are no loop devices"
    return None


def run(*command: str | Path, check: bool = True) -> int:
    """Run a command that has nothing to say."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
    return done.returncode


def mounts_of_own() -> None:
    """Let this thread and its children mount what no other process sees, and what is gone when the last of them ends."""
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_PRIVATE_ALL, None) != 0:
        raise OSError(ctypes.get_errno(), "mounts of its own are refused")


class Disk:
    """A disk in a directory, mounted at `root`; the process should have mounts of its own, so that they end with it."""

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
        # Written in full, so that what is written later changes no metadata of the outer file system.
        with self.inner_image.open("wb") as file:
            for _ in range(INNER_BYTES >> 20):
                file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", self.inner_image)
        self._mount(self.inner_image, self.root)

    def crash(self, rng: random.Random) -> None:
        """Cut the power. Of what the disk has in its cache, some may just have been written by itself."""
        self._write_back_some(rng)
        self._shut_down(self.outer)
        self._shut_down(self.root)

    def recover(self) -> None:
        """Mount again what the power was cut from. Nobody may have a file open there."""
        self.unmount()
        self._mount(self.outer_image, self.outer)
        self._mount(self.inner_image, self.root)

    def unmount(self) -> None:
        """Unmount both; their loop devices go with them."""
        for path in (self.root, self.outer):
            # Whoever looks at loop devices, to find a free one, holds for a moment what is below the inner file system.
            for _ in range(UNMOUNTS):
                if not path.is_mount() or run("umount", path, check=False) == 0:
                    break
                time.sleep(0.02)
            else:
                run("umount", path)

    def _mount(self, image: Path, path: Path) -> None:
        # Without times of access and change, a flush of the inner disk is no transaction of the outer file system.
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
