"""A folder of snapshots under a byte budget; the least recently used make room for new ones.

Owns: the files in its folder (nobody else writes there), their sizes and use order, which the files'
times carry over a restart. Does not know: whose the keys are, what is in a snapshot.
Invariants: the files, one being written included, never add up to more than the budget; none is written
that would leave less than KEEP_FREE_BYTES of the disk to what matters more.
"""

import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock

from engine.tiers import snapshot as snapshots
from engine.tiers.snapshot import Fingerprint, Reason, Snapshot, SnapshotRefused

KEEP_FREE_BYTES = 256 << 20
MINOR_SHARE = 0.5
_SUFFIX = ".safetensors"
_MINOR = "minor-"  # what the files' names begin with


def free_bytes(folder: Path) -> int:
    """What the disk of `folder` has left."""
    return shutil.disk_usage(folder).free


class SnapshotFolder:
    """Snapshots by key. Every method may be called from any thread; one works at a time."""

    def __init__(
        self,
        folder: Path,
        budget_bytes: int | None,
        free_bytes: Callable[[Path], int] = free_bytes,
        minor: str | None = None,
    ) -> None:
        """Take over `folder`, made if missing. budget_bytes: None for no limit.

        minor: what keys begin with whose snapshots have MINOR_SHARE of the budget at most, so that they never
        take the others' room beyond that. Raises SnapshotRefused if the folder cannot be used.
        """
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._free_bytes = free_bytes
        self._minor = minor
        self._lock = Lock()
        # File name -> bytes, the least recently used first.
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used_bytes = self._minor_bytes = 0
        with _os_errors_refused():
            self._scan()
            self._make_room(0)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def used_bytes(self) -> int:
        """Bytes of all snapshots; never waits for a write that is under way."""
        return self._used_bytes

    def path(self, key: str) -> Path:
        """Where the snapshot of `key` is or would be."""
        return self._folder / self._name(key)

    def put(self, key: str, snapshot: Snapshot, fingerprint: Fingerprint) -> None:
        """Store the snapshot, in place of the key's last one, evicting others if it needs their room.

        Raises SnapshotRefused (too large, disk full, ...); nothing half-written is left then.
        """
        name = self._name(key)
        size = snapshots.num_bytes(snapshot, fingerprint)
        if (limit := self._limit(name)) is not None and size > limit:
            raise SnapshotRefused(Reason.TOO_LARGE, f"{size:,} of {limit:,} bytes")
        with self._lock, _os_errors_refused():
            self._make_minor_room(size, name)
            self._make_room(size, stale=name)
            if not self._fits(size):
                raise SnapshotRefused(Reason.NO_ROOM)
            snapshots.write(self._folder / name, snapshot, fingerprint)
            self._forget(name)
            self._remember(name, size)
            self._touch(name)

    def get(self, key: str, fingerprint: Fingerprint) -> Snapshot:
        """The snapshot of `key`, now the most recently used. Raises SnapshotRefused.

        One that is damaged or foreign is also deleted; one that cannot be read just now stays.
        """
        name = self._name(key)
        with self._lock:
            try:
                snapshot = snapshots.read(self._folder / name, fingerprint)
            except SnapshotRefused as refusal:
                if refusal.reason is not Reason.UNREADABLE:
                    with suppress(OSError):
                        self._remove(name)
                raise
            self._touch(name)
            return snapshot

    def drop(self, key: str) -> None:
        """Delete the snapshot of `key` if there is one. Raises SnapshotRefused if that fails."""
        with self._lock, _os_errors_refused():
            self._remove(self._name(key))

    def give_way(self) -> bool:
        """Somebody else finds no room on the disk: drop the oldest, until there is; whether any was."""
        with self._lock, suppress(OSError):
            if not self._sizes:
                return False
            self._remove(next(iter(self._sizes)))
            self._make_room(0)
            return True
        return False

    def _scan(self) -> None:
        """Learn which snapshots are there, oldest first, and delete what interrupted writes left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.glob(f"*{snapshots.PARTIAL_SUFFIX}"):
            path.unlink(missing_ok=True)
        found = [(path.name, path.stat()) for path in self._folder.glob(f"*{_SUFFIX}")]
        for name, stat in sorted(found, key=lambda item: item[1].st_mtime_ns):
            self._remember(name, stat.st_size)

    def _name(self, key: str) -> str:
        is_minor = self._minor is not None and key.startswith(self._minor)
        return (_MINOR if is_minor else "") + _file_name(key)

    def _limit(self, name: str) -> int | None:
        """Most bytes of this snapshot and its like."""
        if self._budget_bytes is None or not name.startswith(_MINOR):
            return self._budget_bytes
        return int(self._budget_bytes * MINOR_SHARE)

    def _make_minor_room(self, size: int, name: str) -> None:
        """Of a minor snapshot that is to be written: delete its like, as many as it takes, its old self first."""
        limit = self._limit(name)
        if limit is None or not name.startswith(_MINOR):
            return
        minor = [n for n in self._sizes if n.startswith(_MINOR)]
        for other in sorted(minor, key=lambda n: n != name):
            if self._minor_bytes + size <= limit:
                return
            self._remove(other)

    def _make_room(self, size: int, stale: str | None = None) -> None:
        """Delete snapshots until `size` more bytes fit, or none is left: `stale` first, then by age."""
        while self._sizes and not self._fits(size):
            oldest = next(iter(self._sizes))
            self._remove(stale if stale is not None and stale in self._sizes else oldest)

    def _fits(self, size: int) -> bool:
        """Whether so much may be written now, as far as the budget and the disk go."""
        if self._budget_bytes is not None and self._used_bytes + size > self._budget_bytes:
            return False
        return self._free_bytes(self._folder) - size >= KEEP_FREE_BYTES

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self._forget(name)

    def _remember(self, name: str, size: int) -> None:
        self._sizes[name] = size
        self._used_bytes += size
        self._minor_bytes += size if name.startswith(_MINOR) else 0

    def _forget(self, name: str) -> None:
        size = self._sizes.pop(name, 0)
        self._used_bytes -= size
        self._minor_bytes -= size if name.startswith(_MINOR) else 0

    def _touch(self, name: str) -> None:
        """Make it the most recently used. The kernel's own time stamps are too coarse to order by."""
        if name in self._sizes:
            self._sizes.move_to_end(name)
        with suppress(OSError):
            now_ns = time.time_ns()
            os.utime(self._folder / name, ns=(now_ns, now_ns))


def _file_name(key: str) -> str:
    """Keys may hold any text, so they become names of one form that tell nothing."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest() + _SUFFIX


@contextmanager
def _os_errors_refused() -> Iterator[None]:
    """Turn the file system's errors into a refusal."""
    try:
        yield
    except OSError as error:
        raise SnapshotRefused(Reason.UNWRITABLE, error.strerror or type(error).__name__) from error
