"""`tiercel.hardware()`: the resources of the machine, and the part that a container may use."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tiercel
from tiercel import _core, threads
from tiercel.policy import cgroup, cores, hardware, system

MIB = 1 << 20


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_hardware_is_complete_and_plausible() -> None:
    machine = tiercel.hardware()
    assert 1 <= machine.cores <= (machine.cores_total or machine.cores)
    if machine.memory_total is not None:
        assert machine.memory_total >= 64 * MIB
        assert 0 <= (machine.memory_available or 0) <= machine.memory_total
    caches = [size for size in (machine.cache_l1d, machine.cache_l2, machine.cache_l3) if size is not None]
    assert all(size >= 4096 for size in caches)
    assert json.loads(json.dumps(machine.to_dict()))["simd_levels"] == list(machine.simd_levels)


def test_instruction_sets_are_those_of_the_kernels() -> None:
    machine = tiercel.hardware()
    assert machine.simd == _core.simd_level()
    assert machine.simd_levels == tuple(name for name, there in _core.simd_levels().items() if there)
    assert machine.simd_levels[0] == "scalar"


@pytest.mark.parametrize("level", [name for name, there in _core.simd_levels().items() if there])
def test_the_instruction_set_in_use_can_be_forced(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("TIERCEL_SIMD", level)
    assert tiercel.hardware().simd == level


def test_an_unknown_instruction_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERCEL_SIMD", "mmx")
    with pytest.raises(tiercel.InvalidInputError, match="TIERCEL_SIMD"):
        tiercel.hardware()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity of processes")
def test_cores_follow_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert tiercel.hardware().cores == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.0, 1), (2.9, 2), (1000.0, 8), (None, 8)])
def test_cores_follow_the_quota_of_a_container(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: quota)
    assert tiercel.hardware().cores == cores


def test_there_is_one_answer_to_how_many_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 2.0)
    assert tiercel.hardware().cores == cores.cores() == 2
    asked: list[int] = []

    def counted(max_age: float = 1.0) -> int:
        asked.append(real(max_age))
        return asked[-1]

    real = cores.cores
    for module in (cores, threads):
        monkeypatch.setattr(module, "cores", counted)
    index = tiercel.Index(2)
    with tiercel.open(tmp_path / "made", dim=2) as made:
        made.upsert(["a"], [[1, 0]])
        calls: list[Callable[[], object]] = [
            lambda: index.add(np.eye(2)),
            lambda: index.search(np.eye(2), k=1),
            lambda: index.range_search(np.eye(2), 1),
            index.optimize,
            lambda: made.search_many(np.eye(2)),
            lambda: tiercel.open(tmp_path / "other").close(),
        ]
        for number, call in enumerate(calls):
            del asked[:]
            call()
            assert asked == [2], number


def test_a_quota_is_looked_up_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [1000.0], list[float]()
    monkeypatch.setattr(cores.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(cores, "_looked", (0.0, None))
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: looks.append(now[0]))
    for at in (1000.0, 1000.5, 1001.0, 1001.9, 1002.5):
        now[0] = at
        cores.cores()
    assert looks == [1000.0, 1001.0, 1002.5]


def test_memory_follows_the_limit_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "memory", lambda: (64 * MIB, 40 * MIB))
    monkeypatch.setattr(cgroup, "memory_limit", lambda: 32 * MIB)
    monkeypatch.setattr(cgroup, "memory_available", lambda: 8 * MIB)
    machine = hardware.hardware()
    assert (machine.memory_total, machine.memory_available) == (32 * MIB, 8 * MIB)


def test_what_the_system_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "memory", lambda: (None, None))
    monkeypatch.setattr(system, "caches", dict)
    monkeypatch.setattr(cgroup, "memory_limit", lambda: None)
    monkeypatch.setattr(cgroup, "memory_available", lambda: None)
    machine = tiercel.hardware()
    assert (machine.memory_total, machine.memory_available) == (None, None)
    assert (machine.cache_l1d, machine.cache_l2, machine.cache_l3) == (None, None, None)


VERSION_2 = {
    "proc/self/cgroup": "0::/pods/pod1\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
    "sys/fs/cgroup/pods/cpu.max": "400000 100000\n",
    "sys/fs/cgroup/pods/pod1/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/pods/memory.max": f"{512 * MIB}\n",
    "sys/fs/cgroup/pods/memory.current": f"{500 * MIB}\n",
    "sys/fs/cgroup/pods/memory.stat": f"anon 1\ninactive_file {20 * MIB}\n",
    "sys/fs/cgroup/pods/pod1/memory.max": "max\n",
    "sys/fs/cgroup/pods/pod1/memory.current": f"{100 * MIB}\n",
}

VERSION_1 = {
    "proc/self/cgroup": "4:memory:/docker/c1\n3:cpu,cpuacct:/docker/c1\n0::/\n",
    # Without a namespace, a container sees its own group at the mount point, and its host path.
    "proc/self/mountinfo": (
        "40 30 0:31 /docker/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
        "41 30 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    ),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{256 * MIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{200 * MIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {30 * MIB}\ntotal_active_file {20 * MIB}\n",
}


def test_groups_of_version_2_and_all_above_them(tmp_path: Path) -> None:
    root = tree(tmp_path, VERSION_2)
    assert cgroup.cpu_quota(root) == 1.5
    assert cgroup.memory_limit(root) == 512 * MIB
    assert cgroup.memory_available(root) == 32 * MIB


def test_groups_of_version_1_as_a_container_sees_them(tmp_path: Path) -> None:
    root = tree(tmp_path, VERSION_1)
    assert cgroup.cpu_quota(root) == 2.5
    assert cgroup.memory_limit(root) == 256 * MIB
    assert cgroup.memory_available(root) == 106 * MIB


def test_groups_without_a_limit(tmp_path: Path) -> None:
    unlimited = {
        "sys/fs/cgroup/pods/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pods/pod1/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pods/memory.max": "max\n",
    }
    root = tree(tmp_path, VERSION_2 | unlimited)
    assert cgroup.cpu_quota(root) is None
    assert cgroup.memory_limit(root) is None
    assert cgroup.memory_available(root) is None
    version_1 = tree(tmp_path / "v1", VERSION_1 | {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"})
    assert cgroup.cpu_quota(version_1) is None


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "", "proc/self/mountinfo": ""},
        {"proc/self/cgroup": "0::/../../outside\n", "proc/self/mountinfo": VERSION_2["proc/self/mountinfo"]},
        {"proc/self/cgroup": "nonsense\n::\n", "proc/self/mountinfo": "1 2 - cgroup2\n - \nx\n"},
        VERSION_2 | {f"sys/fs/cgroup/pods{name}": "0 x\n" for name in ("/cpu.max", "/memory.max", "/pod1/cpu.max")},
    ],
)
def test_odd_files_of_the_system_are_no_limit(tmp_path: Path, files: dict[str, str]) -> None:
    root = tree(tmp_path, files)
    assert cgroup.cpu_quota(root) is None
    assert cgroup.memory_limit(root) is None
    assert cgroup.memory_available(root) is None
