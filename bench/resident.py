"""This process's resident memory, as the operating system counts it (proc(5))."""

from pathlib import Path


def resident_bytes(field: str = "VmRSS", pid: int | str = "self") -> int:
    """VmRSS, or RssAnon, which leaves mapped files out; 0 once the program has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
