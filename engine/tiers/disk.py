"""Snapshots on their way to disk and back, off the engine's thread.

Owns: the two threads that write and read, what waits to be written, and what this run has written.
Does not know: sessions, blocks. Until it is written a snapshot is used from memory; what waits is
bounded, so a slow disk slows spilling down and memory does not grow.
"""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from engine.tiers.snapshot import Fingerprint, Snapshot, SnapshotRefused
from engine.tiers.snapshot_folder import SnapshotFolder

log = logging.getLogger(__name__)

MAX_UNWRITTEN_BYTES = 128 << 20


class Disk:
    """The folder for snapshots, and what marks a snapshot as this model's.

    wake: is called in another thread when a snapshot has been read.
    """

    def __init__(
        self,
        folder: SnapshotFolder,
        fingerprint: Fingerprint,
        wake: Callable[[], object] = lambda: None,
        max_unwritten_bytes: int = MAX_UNWRITTEN_BYTES,
    ) -> None:
        self.folder = folder
        self._fingerprint = fingerprint
        self._wake = wake
        self._max_unwritten_bytes = max_unwritten_bytes
        self._written: dict[str, int] = {}  # key -> tokens in its snapshot
        self._unwritten: dict[str, Snapshot] = {}
        self._writes: list[Future[None]] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="kv-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="kv-reader")

    def num_tokens(self, key: str) -> int:
        """Tokens of the key's snapshot, as far as this run wrote it and it is still there."""
        return self._written.get(key, 0) if self.has(key) else 0

    def has(self, key: str) -> bool:
        """Whether there is a snapshot of `key`, or will be."""
        return key in self._unwritten or self.folder.path(key).is_file()

    @property
    def is_full(self) -> bool:
        """Whether the next `write` would have to wait."""
        return self._num_unwritten_bytes() >= self._max_unwritten_bytes

    def write(self, key: str, snapshot: Snapshot, stale: Iterable[str] = ()) -> None:
        """Store the snapshot soon, and then drop those of the keys `stale`, which it contains."""
        while self.is_full and self._writes:
            self._writes.pop(0).exception()
        self._written[key] = len(snapshot.tokens)
        self._unwritten[key] = snapshot
        self._soon(self._put, key, snapshot, list(stale))

    def read(self, key: str) -> Future[Snapshot] | None:
        """Begin to read the snapshot of `key`; None if there is none."""
        if snapshot := self._unwritten.get(key):
            there: Future[Snapshot] = Future()
            there.set_result(snapshot)
            return there
        if not self.folder.path(key).is_file():
            return None
        read = self._reader.submit(self.get, key)
        read.add_done_callback(lambda _future: self._wake())
        return read

    def get(self, key: str) -> Snapshot:
        """The snapshot of `key`, read at once. Raises SnapshotRefused."""
        return self.folder.get(key, self._fingerprint)

    def put(self, key: str, snapshot: Snapshot) -> None:
        """Store the snapshot at once. Raises SnapshotRefused."""
        self.folder.put(key, snapshot, self._fingerprint)

    def drop(self, keys: Iterable[str]) -> None:
        """Delete the snapshots of `keys`, as far as there are any, soon."""
        for key in keys:
            self._written.pop(key, None)
            self._soon(self._drop, key)

    def outdate(self, key: str) -> None:
        """The snapshot of `key`, if any, is no longer all that there is to write."""
        self._written.pop(key, None)

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until what was to be written and dropped is. Raises TimeoutError."""
        self._writer.submit(int).result(timeout_s)

    def close(self, deadline: float) -> None:
        """Wait until time.monotonic() is `deadline` for what is being written, and no longer."""
        wait(self._writes, timeout=max(deadline - time.monotonic(), 0.1))
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    def _soon(self, task: Callable[..., None], *arguments: Any) -> None:
        """In the writer's thread; here where the program is ending, which begins nothing beside it."""
        self._writes = [write for write in self._writes if not write.done()]
        try:
            self._writes.append(self._writer.submit(task, *arguments))
        except RuntimeError:
            task(*arguments)

    def _num_unwritten_bytes(self) -> int:
        waiting = list(self._unwritten.values())
        return sum(
            raw.nbytes for snapshot in waiting for raw in (*snapshot.blocks, *snapshot.states)
        )

    def _put(self, key: str, snapshot: Snapshot, stale: list[str]) -> None:
        """In the writer's thread."""
        try:
            self.put(key, snapshot)
            for old in stale:
                self._drop(old)
        except SnapshotRefused as refusal:
            log.warning("A conversation's KV is not kept on disk: %s", refusal)
            self._written.pop(key, None)
        except Exception:
            log.exception("A snapshot could not be written")
            self._written.pop(key, None)
        finally:
            if self._unwritten.get(key) is snapshot:
                del self._unwritten[key]

    def _drop(self, key: str) -> None:
        try:
            self.folder.drop(key)
        except SnapshotRefused as refusal:
            log.warning("A snapshot could not be deleted: %s", refusal)
