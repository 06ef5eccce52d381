"""How many threads and how much memory this machine lets the process use.

Reads what the operating system says (affinity, cgroup quotas), knows nothing of models. More
threads than the quota make a container crawl, since the kernel stops all of them for a share of
each period. Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

import math
import os
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cpus(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> int:
    """CPUs that this process may keep busy: affinity, capped by the cgroup's quota; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [_cpu_quota(*folders) for folders in _groups(cgroup, membership, "cpu")]
    quota = min((quota for quota in quotas if quota is not None), default=math.inf)
    return max(1, int(min(affinity or 1, quota + 0.01)))


def available_memory_bytes(
    cgroup: Path = _CGROUP,
    meminfo: Path = Path("/proc/meminfo"),
    membership: Path = _MEMBERSHIP,
) -> int | None:
    """Bytes that this process can still take: what the system has, capped by the cgroup; None if unknown."""
    rooms = [_cgroup_room(*folders) for folders in _groups(cgroup, membership, "memory")]
    known = [room for room in (_system_room(meminfo), *rooms) if room is not None]
    return min(known) if known else None


def _groups(cgroup: Path, membership: Path, controller: str) -> list[tuple[Path, Path]]:
    """The process's own group, which systemd or Slurm made, and all above it: v2's and v1's folders."""
    paths = [PurePosixPath("/")]
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            paths += [PurePosixPath(path), *PurePosixPath(path).parents]
    below = dict.fromkeys(str(path).lstrip("/") for path in paths if ".." not in path.parts)
    return [(cgroup / path, cgroup / controller / path) for path in below]


def _cpu_quota(v2_folder: Path, v1_folder: Path) -> float | None:
    """CPUs' worth of quota, in cgroup v2's or v1's form; None: no limit."""
    if (v2 := _words(v2_folder / "cpu.max")) and len(v2) == 2:
        return None if v2[0] == "max" else int(v2[0]) / int(v2[1])
    quota = _words(v1_folder / "cpu.cfs_quota_us")
    period = _words(v1_folder / "cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _cgroup_room(v2_folder: Path, v1_folder: Path) -> int | None:
    for limit, used in (
        (v2_folder / "memory.max", v2_folder / "memory.current"),
        (v1_folder / "memory.limit_in_bytes", v1_folder / "memory.usage_in_bytes"),
    ):
        maximum, current = _words(limit), _words(used)
        if maximum and current and maximum[0] != "max":
            return max(int(maximum[0]) - int(current[0]), 0)
    return None


def _system_room(meminfo: Path) -> int | None:
    words = _words(meminfo)
    if "MemAvailable:" not in words:
        return None
    return int(words[words.index("MemAvailable:") + 1]) * 1024


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
