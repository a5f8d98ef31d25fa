"""Threads that do everything at once to one collection; each knows the content of its records, so
any mix-up shows.

Memory and files are counted by the system: the resident set of this process and its open files,
sampled every quarter of a second. The number of records is constant except for a few that are just
being replaced, so any growth between the middle of the run and its end is a leak. Memory that the
allocator and checkpoints take for a moment goes up and down. Therefore the medians of the third and
the last quarter are compared, and only in runs of at least half a minute.
"""

import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from outcome import Outcome, Progress

import tiercel

DIM = 16
OWN = 400
SAMPLED = 0.25
# The share by which the resident set may grow from the third quarter to the last.
GROWTH = 0.05
# Minimum number of samples: one for each quarter of the run.
QUARTERS = 4
# Minimum number of samples for memory to settle: half a minute.
SETTLED = 120


class Own:
    """The records of a thread: the version of each, 0 for none."""

    def __init__(self, number: int, seed: int, collection: tiercel.Collection) -> None:
        self.number = number
        self.collection = collection
        self.versions = [0] * OWN
        self.rng = random.Random(f"{seed}/{number}")
        self.version = 0
        self.wrong: list[str] = []
        self.calls: dict[str, int] = {}

    def id(self, slot: int) -> str:
        return f"{self.number}-{slot}"

    def vector(self, slot: int, version: int) -> np.ndarray:
        """Each record has its own direction, and each version deviates a little from it."""
        vector = np.random.default_rng([self.number, slot]).standard_normal(DIM, dtype=np.float32)
        vector[0] += np.float32(version % 1024) / np.float32(4096)
        return vector

    def text(self, slot: int, version: int) -> str:
        return f"owner{self.number} record{self.number}x{slot} version{version}"

    def metadata(self, slot: int, version: int) -> dict[str, Any]:
        return {"owner": self.number, "slot": slot, "version": version}

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(f"thread {self.number}: {what}")

    def whole(self, match: tiercel.Match, what: str) -> None:
        """Check that any thread's match is one record in one version, and ours in the latest."""
        metadata = match.metadata or {}
        owner, slot, version = (metadata.get(name, -1) for name in ("owner", "slot", "version"))
        text = f"owner{owner} record{owner}x{slot} version{version}"
        self.expect(match.id == f"{owner}-{slot}" and match.text == text, f"{what}: {match}")
        if owner == self.number:
            self.expect(self.versions[slot] == version, f"{what}: {match}, expected version {self.versions[slot]}")

    def some(self, most: int) -> list[int]:
        return self.rng.sample(range(OWN), self.rng.randint(1, most))

    def upsert(self, slots: list[int]) -> None:
        self.version += 1
        version = self.version
        ids, vectors = [self.id(slot) for slot in slots], np.array([self.vector(slot, version) for slot in slots])
        texts = [self.text(slot, version) for slot in slots]
        stored = self.collection.upsert(ids, vectors, texts, [self.metadata(slot, version) for slot in slots])
        self.expect(stored == len(slots), f"{stored} of {len(slots)} records put in")
        for slot in slots:
            self.versions[slot] = version

    def replace_all(self) -> None:
        self.upsert(list(range(OWN)))

    def delete_and_put_back(self) -> None:
        slots = self.some(20)
        if self.rng.random() < 0.5:
            gone = self.collection.delete([self.id(slot) for slot in slots])
        else:
            gone = self.collection.delete(filter={"$and": [{"owner": self.number}, {"slot": {"$in": slots}}]})
        self.expect(gone == len(slots), f"{gone} of {len(slots)} records deleted")
        missing = self.collection.get([self.id(slot) for slot in slots])
        self.expect(missing == [None] * len(slots), "deleted records are there")
        count = self.collection.count(filter={"owner": self.number})
        self.expect(count == OWN - len(slots), f"{count} records of {OWN - len(slots)} after a deletion")
        self.upsert(slots)

    def get(self) -> None:
        slots = self.some(20)
        found = self.collection.get([self.id(slot) for slot in slots], include=("text", "metadata", "vector"))
        for slot, match in zip(slots, found, strict=True):
            if match is None or match.vector is None:
                self.expect(False, f"{self.id(slot)} is not there as a whole")
                continue
            self.whole(match, "get")
            same = np.array_equal(match.vector, self.vector(slot, self.versions[slot]))
            self.expect(same, f"get: the vector of {match.id} differs")

    def by_vector(self) -> None:
        slot = self.rng.randrange(OWN)
        recall, condition = self.rng.choice([(1.0, None), (1.0, {"owner": self.number}), (None, None)])
        found = self.collection.search(self.vector(slot, self.versions[slot]), k=5, recall=recall, filter=condition)
        self.expect(len(set(found.ids)) == 5, f"{found.ids} are not five records")
        for match in found:
            self.whole(match, "by vector")
        if recall == 1:
            self.expect(found.ids[0] == self.id(slot), f"{self.id(slot)} is not the nearest to itself: {found}")

    def by_text(self) -> None:
        slot = self.rng.randrange(OWN)
        found = self.collection.search(text=f"record{self.number}x{slot}", k=3)
        self.expect(found.ids == [self.id(slot)], f"{self.id(slot)} is not found by its word: {found}")
        for match in found:
            self.whole(match, "by text")

    def by_both(self) -> None:
        slot = self.rng.randrange(OWN)
        found = self.collection.search(self.vector(slot, self.versions[slot]), f"record{self.number}x{slot}", k=5)
        self.expect(found.ids[0] == self.id(slot), f"{self.id(slot)} is not the first by both: {found}")
        for match in found:
            self.whole(match, "by both")

    def count(self) -> None:
        self.expect(self.collection.count(filter={"owner": self.number}) == OWN, "own records counted wrong")
        slot = self.rng.randrange(OWN)
        condition = {"$and": [{"owner": self.number}, {"slot": slot}, {"version": self.versions[slot]}]}
        matches = self.collection.scan(filter=condition)
        self.expect([match.id for match in matches] == [self.id(slot)], f"{self.id(slot)} is not found by a filter")

    def maintain(self) -> None:
        getattr(self.collection, self.rng.choice(["wait_idle", "checkpoint", "compact"]))()

    def back_up(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tiercel-") as directory:
            copy = Path(directory) / "copy"
            before = self.versions.copy()
            self.collection.backup(copy)
            with tiercel.open(copy, threads=1) as collection:
                own = list(collection.scan(filter={"owner": self.number}))
                self.expect(len(own) == OWN, f"{len(own)} of {OWN} own records in a backup")
                for match in own:
                    self.whole(match, "backup")
                self.expect(collection.verify() == [], "a backup is damaged")
            self.expect(before == self.versions, "versions changed")

    def run(self, ends: float) -> None:
        weights = {
            self.upsert_some: 30,
            self.delete_and_put_back: 10,
            self.get: 20,
            self.by_vector: 40,
            self.by_text: 40,
            self.by_both: 30,
            self.count: 20,
            self.replace_all: 1,
            self.maintain: 1,
            self.back_up: 0.2,
        }
        try:
            while time.monotonic() < ends and len(self.wrong) < 10:
                call = self.rng.choices(list(weights), list(weights.values()))[0]
                call()
                self.calls[call.__name__] = self.calls.get(call.__name__, 0) + 1
        except Exception as error:  # noqa: BLE001
            self.wrong.append(f"thread {self.number}: {type(error).__name__}: {error}")

    def upsert_some(self) -> None:
        self.upsert(self.some(30))


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def soak(seconds: int, threads: int, seed: int, progress: Progress) -> Outcome:
    """Run the threads, and watch memory and open files."""
    outcome = Outcome("soak", seed)
    if sys.platform != "linux":
        outcome.skipped = "memory and open files are counted on Linux only"
        return outcome
    directory = Path(tempfile.mkdtemp(prefix="tiercel-"))
    try:
        with tiercel.open(directory / "it", dim=DIM, metric="l2", language=None) as collection:
            owners = [Own(number, seed, collection) for number in range(threads)]
            for owner in owners:
                owner.replace_all()
            samples = watch(owners, seconds, progress)
            judge(outcome, owners, samples)
            if damaged := collection.verify():
                outcome.failures.append(f"damaged: {damaged}")
            if trouble := collection.stats()["trouble"]:
                outcome.failures.append(f"the background had trouble: {trouble}")
        with tiercel.open(directory / "it") as collection:
            if len(collection) != threads * OWN:
                outcome.failures.append(f"{len(collection)} of {threads * OWN} records after opening again")
    finally:
        shutil.rmtree(directory)
    return outcome


def watch(owners: list[Own], seconds: int, progress: Progress) -> list[tuple[int, int]]:
    """Run the threads; return samples of the resident set and the number of open files."""
    began = time.monotonic()
    workers = [threading.Thread(target=owner.run, args=(began + seconds,), daemon=True) for owner in owners]
    for worker in workers:
        worker.start()
    samples: list[tuple[int, int]] = []
    while (passed := time.monotonic() - began) < seconds or len(samples) < QUARTERS:
        samples.append((resident(), open_files()))
        if progress is not None:
            progress(int(passed), seconds)
        time.sleep(SAMPLED)
    for worker in workers:
        worker.join()
    return samples


def judge(outcome: Outcome, owners: list[Own], samples: list[tuple[int, int]]) -> None:
    """Count, and report what grew."""
    for owner in owners:
        outcome.failures += owner.wrong
        for name, count in owner.calls.items():
            outcome.count(name.replace("_", " "), count)
    quarter = len(samples) // QUARTERS
    third, last = samples[2 * quarter : 3 * quarter], samples[3 * quarter :]
    before, after = (statistics.median(memory for memory, _ in part) for part in (third, last))
    outcome.counts["MiB resident in the third quarter"] = round(before / 2**20)
    outcome.counts["MiB resident in the last"] = round(after / 2**20)
    if len(samples) >= SETTLED and after > before * (1 + GROWTH):
        outcome.failures.append(f"memory grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    # A backup opens many for a moment; a leak raises the median.
    files = [statistics.median(files for _, files in part) for part in (third, last)]
    outcome.counts["open files at most"] = max(files for _, files in third + last)
    if files[1] > files[0] + len(owners):
        outcome.failures.append(f"open files grew from {files[0]:.0f} to {files[1]:.0f}")
