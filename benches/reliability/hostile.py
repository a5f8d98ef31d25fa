"""Files from elsewhere, with correct checksums: what they can do to the process that opens them.

Each mutant is a directory written by tiercel with something changed (`mutate.py`). A child forked
for it uses it in every way (`subjects.py`). Every call must return a regular answer or raise an
error of tiercel. The child must end by itself, in time, without more memory than four times the
files, and change nothing outside its directory.
"""

import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from mutate import Tree, mutated, parts
from outcome import Outcome, Progress
from subjects import SUBJECTS, Attempt, Subject, quietly, tree, write

import tiercel

# Seconds of processor time, and of wall time, after which a child counts as hanging.
_CPU = 20
_WALL = 120
# Memory allowed beyond four times the files, because allocators take memory in large pieces.
_SPARE = 24 << 20


_Work: TypeAlias = Callable[[Attempt], None]


class End(NamedTuple):
    """How a child ended."""

    status: int
    peak: int
    """Peak memory in bytes."""
    told: str
    """The first problem; empty if all was well."""
    refused: int
    """Calls answered by an error of tiercel."""
    late: bool


def hostile(mutants: int, seed: int, bar: Progress) -> Outcome:
    """Use mutants of every kind of directory."""
    outcome = Outcome("hostile", seed)
    with tempfile.TemporaryDirectory(dir=_memory()) as directory:
        yard = Yard(Path(directory))
        subjects = [Original(subject, yard) for subject in SUBJECTS]
        for number in range(mutants):
            rng = random.Random(f"{seed} {number}")
            original = subjects[number % len(subjects)]
            what, files = mutated(original.files, original.parts, rng)
            end = yard.use(original.subject, files, original.address_space)
            outcome.count("mutants")
            outcome.count("refused", end.refused > 0)
            wrong = original.judge(end, files) or yard.stray()
            if wrong:
                outcome.failures.append(f"{original.subject.name}, mutant {number}, {what}: {wrong}")
            if bar is not None:
                bar(number + 1, mutants)
    return outcome


def _memory() -> str | None:
    """Return a directory in memory, if there is one: nothing here must last."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Original:
    """An unchanged subject, and the resources that using it takes."""

    def __init__(self, subject: Subject, yard: "Yard") -> None:
        self.subject = subject
        self.files = yard.make(subject)
        self.parts = parts(self.files)
        end = yard.use(subject, self.files, None)
        if end.status or end.told or yard.stray():
            raise AssertionError(f"{subject.name}, unchanged: {end}, {yard.stray()}")
        self.peak = end.peak
        self.address_space = int(yard.report.get("address space", 0)) + 4 * self._bytes(self.files) + (1 << 30)

    @staticmethod
    def _bytes(files: Tree) -> int:
        return sum(map(len, files.values()))

    def judge(self, end: End, files: Tree) -> str:
        """Return what is wrong with how a child ended, or an empty string."""
        if end.late:
            return "hangs"
        if os.WIFSIGNALED(end.status):
            return f"ended by {signal.Signals(os.WTERMSIG(end.status)).name}"
        if end.told:
            return end.told
        if end.status:
            return f"ended with {os.waitstatus_to_exitcode(end.status)}"
        more = end.peak - self.peak - 4 * self._bytes(files)
        return f"{more >> 20} MiB more than four times its files" if more > _SPARE else ""


class Yard:
    """A directory with one inside for mutants, surrounded by files that must not be touched."""

    def __init__(self, directory: Path) -> None:
        self.inner = directory / "x" / "inner"
        self.place = self.inner / "mutant"
        self.report: dict[str, str] = {}
        for name in ("canary/file", "x/yy.seg", "x/inner/yy.seg", "x/inner/log-1", "x/inner/view", "x/canary/file"):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(b"as it was")
        self.directory = directory
        self.around = self._around()

    def _around(self) -> Tree:
        return {
            name: data
            for name, data in tree(self.directory).items()
            if not name.startswith(("x/inner/mutant", "x/inner/aside"))
        }

    def stray(self) -> str:
        """Return what has changed outside the directory, or an empty string."""
        now = self._around()
        changed = sorted(name for name in {*now, *self.around} if now.get(name) != self.around.get(name))
        if changed:
            write(self.around, self.directory)
            self.around = self._around()
        return f"wrote outside of its directory: {changed}" if changed else ""

    def make(self, subject: Subject) -> Tree:
        """Make the files of a subject, in a child, so that this process stays without threads."""
        self._empty()
        end = self._fork(lambda _: subject.make(self.place), None)
        if end.status or end.told:
            raise AssertionError(f"{subject.name} cannot be made: {end}")
        return {name: data for name, data in tree(self.place).items() if not name.endswith("LOCK")}

    def use(self, subject: Subject, files: Tree, address_space: int | None) -> End:
        """Use files as a subject in a child with limits."""
        self._empty()
        write(files, self.place)
        return self._fork(lambda attempt: subject.use(self.place, attempt), address_space)

    def _empty(self) -> None:
        for path in (self.place, self.inner / "aside"):
            shutil.rmtree(path, ignore_errors=True)
        self.place.mkdir()

    def _fork(self, work: _Work, address_space: int | None) -> End:
        reads, writes = os.pipe()
        printed = os.memfd_create("stderr")
        child = os.fork()
        if child == 0:
            os.close(reads)
            os.dup2(printed, 2)
            _child(work, address_space, writes)
        os.close(writes)
        told, late = _listen(reads)
        os.close(reads)
        if late:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            late = True
        panic = _panic(printed)
        self.report = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
        wrong = self.report.get("wrong", "") or panic
        return End(status, used.ru_maxrss << 10, wrong, int(self.report.get("refused", 0)), late)


def _panic(printed: int) -> str:
    """Return the Rust panic that a child printed, even one that was caught and became an error."""
    with os.fdopen(printed, "rb") as file:
        file.seek(0)
        lines = file.read().decode(errors="replace").splitlines()
    found = [at for at, line in enumerate(lines) if "panicked at" in line]
    return " ".join(lines[found[0] : found[0] + 2]) if found else ""


def _listen(reads: int) -> tuple[str, bool]:
    """Read what a child reports until it ends, and whether it hangs."""
    told, until = b"", time.monotonic() + _WALL
    while True:
        ready, _, _ = select.select([reads], [], [], max(until - time.monotonic(), 0))
        if not ready:
            return told.decode(errors="replace"), True
        more = os.read(reads, 1 << 16)
        if not more:
            return told.decode(errors="replace"), False
        told += more


def _child(work: _Work, address_space: int | None, writes: int) -> None:
    """Run a child from start to end."""
    refused = 0

    def attempt(call: Callable[[], Any]) -> Any:
        nonlocal refused
        try:
            return call()
        except tiercel.TiercelError:
            refused += 1
            return None

    wrong = ""
    try:
        # Finding the names for a backtrace takes more memory than everything else.
        os.environ["RUST_BACKTRACE"] = "0"
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU, _CPU + 1))
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        quietly(lambda: work(attempt))
    # A panic is not an Exception.
    except BaseException as error:  # noqa: BLE001
        where = traceback.extract_tb(error.__traceback__)[-1]
        wrong = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    lines = [f"refused: {refused}", f"address space: {_address_space()}"]
    if wrong:
        lines.append(f"wrong: {' '.join(wrong.split())[:300]}")
    os.write(writes, "\n".join(lines).encode())
    # Exit without the destructors of the interpreter, which belong to the parent.
    os._exit(0)


def _address_space() -> int:
    """Peak address space of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmPeak")), 0)
