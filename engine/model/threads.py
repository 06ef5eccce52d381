"""How many threads and how much memory this machine lets the process use.

Reads what the operating system says (affinity, cgroup quotas), knows nothing of models. More
threads than the quota make a container crawl, since the kernel stops all of them for a share of
each period. Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """CPUs that this process may keep busy: affinity, capped by the cgroup's quota; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cpu_quota(cgroup)
    cpus = affinity or 1
    return cpus if quota is None else max(1, min(cpus, math.floor(quota + 0.01)))


def available_memory_bytes(
    cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")
) -> int | None:
    """Bytes that this process can still take: what the system has, capped by the cgroup; None if unknown."""
    known = [room for room in (_system_room(meminfo), _cgroup_room(cgroup)) if room is not None]
    return min(known) if known else None


def _cpu_quota(cgroup: Path) -> float | None:
    """CPUs' worth of quota, in cgroup v2's or v1's form; None: no limit."""
    if (v2 := _words(cgroup / "cpu.max")) and len(v2) == 2:
        return None if v2[0] == "max" else int(v2[0]) / int(v2[1])
    quota = _words(cgroup / "cpu/cpu.cfs_quota_us")
    period = _words(cgroup / "cpu/cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _cgroup_room(cgroup: Path) -> int | None:
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        maximum, current = _words(cgroup / limit), _words(cgroup / used)
        if maximum and current and maximum[0] != "max":
            return max(int(maximum[0]) - int(current[0]), 0)
    return None


def _system_room(meminfo: Path) -> int | None:
    words = _words(meminfo)
    if "MemAvailable:" not in words:
        return None
    return int(words[words.index("MemAvailable:") + 1]) * 1024


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
