"""What the machine allows, read from files of either cgroup version."""

import os
from pathlib import Path

import pytest

from engine.model.threads import available_memory_bytes, usable_cpus

MIB = 1 << 20


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("999999999 100000", 8),
        ("", 8),
        ("299999 100000", 3),
    ],
)
def test_the_quota_of_cgroup_v2_limits_the_threads(tmp_path: Path, cpu_max: str, cpus: int) -> None:
    assert usable_cpus(write(tmp_path, cpu_DOT_max=cpu_max + "\n")) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("300000", 3), ("0", 8), ("10000", 1)])
def test_the_quota_of_cgroup_v1_limits_the_threads(tmp_path: Path, quota: str, cpus: int) -> None:
    write(tmp_path, cpu__cpu_DOT_cfs_quota_us=quota, cpu__cpu_DOT_cfs_period_us="100000\n")
    assert usable_cpus(tmp_path) == cpus


@pytest.mark.parametrize(
    ("own", "above", "cpus"),
    [("100000 100000", "max 100000", 1), ("max 100000", "300000 100000", 3), ("4 1", "2 1", 2)],
)
def test_the_quota_of_the_processs_own_group_and_of_those_above_it_counts(
    tmp_path: Path, own: str, above: str, cpus: int
) -> None:
    """As systemd and Slurm make groups; the root has no file of quotas there."""
    root = write(tmp_path, system__job__cpu_DOT_max=own, system__cpu_DOT_max=above)
    write(root, membership="0::/system/job\n")
    assert usable_cpus(root, root / "membership") == cpus


def test_the_own_group_of_cgroup_v1_counts(tmp_path: Path) -> None:
    write(
        tmp_path, cpu__job__cpu_DOT_cfs_quota_us="200000", cpu__job__cpu_DOT_cfs_period_us="100000"
    )
    write(tmp_path, memory__job__memory_DOT_limit_in_bytes="900", meminfo="MemAvailable: 9 kB",
          memory__job__memory_DOT_usage_in_bytes="300",
          membership="4:cpu,cpuacct:/job\n3:memory:/job\n1:name=systemd:/\n")  # fmt: skip
    assert usable_cpus(tmp_path, tmp_path / "membership") == 2
    room = available_memory_bytes(tmp_path, tmp_path / "meminfo", tmp_path / "membership")
    assert room == 600


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none") == 8


def test_without_affinity_the_number_of_cpus_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cpus(tmp_path) == 5


def test_memory_is_what_the_system_has_left(tmp_path: Path) -> None:
    write(tmp_path, meminfo="MemTotal: 9999 kB\nMemAvailable:   2048 kB\n")
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 2 * MIB


def test_memory_is_capped_by_cgroup_v2(tmp_path: Path) -> None:
    write(tmp_path, meminfo="MemAvailable: 102400 kB\n")
    write(tmp_path, memory_DOT_max=f"{10 * MIB}", memory_DOT_current=f"{4 * MIB}")
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 6 * MIB


def test_memory_is_capped_by_cgroup_v1(tmp_path: Path) -> None:
    write(tmp_path, memory__memory_DOT_limit_in_bytes=f"{10 * MIB}")
    write(tmp_path, memory__memory_DOT_usage_in_bytes=f"{11 * MIB}")
    assert available_memory_bytes(tmp_path, tmp_path / "nothing") == 0


def test_an_unlimited_cgroup_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, meminfo="MemAvailable: 1024 kB\n", memory_DOT_max="max", memory_DOT_current="5")
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == MIB


def test_memory_is_unknown_where_nobody_says(tmp_path: Path) -> None:
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") is None
