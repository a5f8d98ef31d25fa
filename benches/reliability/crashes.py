"""Writers that end suddenly: collections must hold all acknowledged writes, and none in part."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from history import DIM, History, Wrong
from outcome import Outcome, Progress

import tiercel

Durability: TypeAlias = Literal["always", "interval", "none"]
# Planted bugs: batches acknowledged before they are on disk, and a system that syncs nothing.
Plant: TypeAlias = Literal["early", "no-sync"]
NO_SYNC = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync,fdatasync,sync_file_range:retval=0"]

# Rounds in which one collection goes through consecutive crashes.
CHAIN = 10
WRITERS = 3
# A few records are replaced repeatedly; many records get a graph.
SLOTS = (60, 6000)


class Place(Protocol):
    """The place of a collection whose writer is killed."""

    root: Path
    keeps_writes: bool
    """Whether a crash keeps everything written, synced or not."""

    def crash(self, rng: random.Random) -> None:
        """Lose what a crash loses besides the process."""

    def recover(self) -> None:
        """Make the files readable again. The writer is dead."""


class Kept:
    """A place that loses nothing but the process."""

    keeps_writes = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def crash(self, rng: random.Random) -> None:
        pass

    def recover(self) -> None:
        pass


class Victim:
    """A process that writes until it is killed."""

    def __init__(self, directory: Path, durability: Durability, history: History, plant: Plant | None) -> None:
        first = history.writers[0]
        numbers = [first.seed, first.slots, int(first.syncs), *history.done]
        durability = "none" if plant == "early" else durability
        command = [sys.executable, Path(__file__).with_name("writer.py"), directory, durability, *map(str, numbers)]
        if plant == "no-sync":
            command = [*NO_SYNC, *command]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True)
        self._said: list[bytes] = []

    def wait(self, acknowledgements: int) -> None:
        """Wait until this many batches are acknowledged."""
        assert self._process.stdout is not None
        while len(self._said) < acknowledgements:
            if not (line := self._process.stdout.readline()):
                assert self._process.stderr is not None
                raise Wrong("the writer ended by itself: " + self._process.stderr.read().decode()[-500:])
            self._said.append(line)

    def freeze(self) -> None:
        """Stop it wherever it is: kernel calls in progress continue, but it sees no results."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        # Once one thread has stopped, every other thread stops before it leaves the kernel.
        stat = Path(f"/proc/{self._process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] not in "TtZ":
            pass

    def kill(self) -> dict[int, int]:
        """Kill it; return the number of acknowledged batches of each thread."""
        if sys.platform == "win32":
            self._process.kill()
        elif self._process.poll() is None:
            # The tracer must not outlive the writer, nor the writer its tracer.
            os.killpg(self._process.pid, signal.SIGKILL)
        # Not `communicate`: it would skip lines that the last `readline` has buffered.
        with self._process:
            assert self._process.stdout is not None
            self._said += self._process.stdout.readlines()
        lines = b"".join(self._said).decode().splitlines()
        return {int(writer): int(batch) + 1 for writer, batch in (line.split() for line in lines)}


@dataclass(frozen=True, slots=True)
class Options:
    """How to crash and how to judge."""

    rounds: int
    seed: int
    durability: Durability
    plant: Plant | None
    keep: Path | None


class Crashes:
    """Repeated crashes in one place."""

    def __init__(self, name: str, place: Place, options: Options) -> None:
        self.outcome = Outcome(name, options.seed)
        self._place = place
        self._options = options
        self._chains = itertools.count()
        self._directory = place.root
        self._begin()

    def run(self, progress: Progress) -> Outcome:
        """Crash the requested number of times."""
        rounds = self._options.rounds
        for number in range(rounds):
            if number % CHAIN == 0 and number:
                self._begin()
            try:
                self._round(random.Random(f"{self.outcome.seed}/{number}"))
            except (Wrong, tiercel.TiercelError) as error:
                self._keep_failure(number)
                self.outcome.failures.append(f"round {number}: {type(error).__name__}: {error}")
                self._begin()
            self.outcome.count("rounds")
            if progress is not None:
                progress(number + 1, rounds)
        if self._options.plant is not None:
            self.outcome.judge_plant(self._options.plant)
        return self.outcome

    def _begin(self) -> None:
        """Start with an empty collection."""
        chain = next(self._chains)
        if chain:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = self._place.root / f"collection-{chain}"
        # A checkpoint makes early-acknowledged batches durable: cuts right after it would find
        # nothing.
        syncs = self._options.plant != "early"
        self._history = History(WRITERS, self.outcome.seed + chain, SLOTS[chain % len(SLOTS)], syncs=syncs)

    def _round(self, rng: random.Random) -> None:
        victim = Victim(self._directory, self._options.durability, self._history, self._options.plant)
        try:
            if rng.random() < 0.2:
                # Crash at some point while it starts, opens, and recovers from the previous crash.
                time.sleep(rng.uniform(0, 0.5))
            else:
                victim.wait(rng.randrange(1, 60))
                time.sleep(rng.uniform(0, 0.02))
            if not self._place.keeps_writes:
                victim.freeze()
            self._place.crash(rng)
        finally:
            acknowledged = victim.kill()
            self._place.recover()
        before = sum(self._history.done)
        self._check(acknowledged)
        self.outcome.count("batches", sum(self._history.done) - before)

    def _check(self, acknowledged: dict[int, int]) -> None:
        """Check a copy, so that the next writer finds the collection as the crash left it."""
        with tempfile.TemporaryDirectory(prefix="tiercel-") as scratch:
            copy = Path(scratch) / "copy"
            # The writer makes the directory; the crash may have come first.
            if self._directory.exists():
                shutil.copytree(self._directory, copy)
            with tiercel.open(copy, dim=DIM) as collection:
                all_of_it = self._place.keeps_writes or self._options.durability == "always"
                self._history.check(collection, acknowledged, all_of_it=all_of_it)

    def _keep_failure(self, number: int) -> None:
        if self._options.keep is not None and self._directory.exists():
            outcome = self.outcome
            shutil.copytree(self._directory, self._options.keep / f"{outcome.name}-{outcome.seed}-{number}")


def kill(options: Options, progress: Progress) -> Outcome:
    """Kill the process with SIGKILL."""
    with tempfile.TemporaryDirectory(prefix="tiercel-") as directory:
        return Crashes("kill", Kept(Path(directory)), options).run(progress)


def power_cut(options: Options, progress: Progress) -> Outcome:
    """Cut the power of a disk."""
    if sys.platform == "win32":
        return Outcome("power-cut", options.seed, skipped="there is no ext4 on this system")
    from disk import Disk, mounts_of_own, why_not

    if (why := why_not()) is not None:
        return Outcome("power-cut", options.seed, skipped=why)
    mounts_of_own()
    with tempfile.TemporaryDirectory(prefix="tiercel-") as directory:
        disk = Disk(Path(directory))
        try:
            return Crashes("power-cut", disk, options).run(progress)
        finally:
            disk.unmount()
