"""The versioned file of one branch's KV: its tokens, its raw blocks, and a probe to verify them.

Owns: what a snapshot holds, and whose snapshots may be used here. Does not know: conversations,
which files exist, the model. A snapshot is only ever an optimisation: whatever is not certain to be
the KV that this model would compute is refused, and the tokens are prefilled instead.
"""

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engine.model import digest_of_model, digest_of_tokenizer, fresh_bytes
from engine.tiers import snapshot_format
from engine.tiers.snapshot_format import Reason, SnapshotRefused

__all__ = ["Fingerprint", "Reason", "Snapshot", "SnapshotRefused", "dump", "fingerprint_of"]
__all__ += ["num_bytes", "parse", "read", "write"]

FORMAT = "warmchat-snapshot"
VERSION = "1"
PARTIAL_SUFFIX = ".partial"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What KV depends on besides the tokens; it is used again only where all of it is equal."""

    model: str
    tokenizer: str
    kv_precision: str
    kv_layout: str
    openvino: str


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """The KV of `tokens`.

    blocks: for each cache tensor its [num_blocks, block bytes]. probe_ids, probe_logits: [n] each,
    the largest logits behind the last token, by which a restore can be verified. states: for each state table
    its [num_states, state bytes], those behind `state_tokens` tokens; none where the model has none.
    """

    tokens: list[int]
    blocks: list[npt.NDArray[np.uint8]]
    probe_ids: npt.NDArray[np.int32]
    probe_logits: npt.NDArray[np.float32]
    states: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    state_tokens: list[int] = field(default_factory=list)


def fingerprint_of(
    model_dir: Path, kv_precision: str, kv_layout: str, openvino_version: str
) -> Fingerprint:
    """The fingerprint of the model in `model_dir`; weights are sampled, so GBs take milliseconds.

    Raises ModelNotFound.
    """
    model, tokenizer = digest_of_model(model_dir), digest_of_tokenizer(model_dir)
    return Fingerprint(model, tokenizer, kv_precision, kv_layout, openvino_version)


def num_bytes(snapshot: Snapshot, fingerprint: Fingerprint) -> int:
    """The size of the file that `write` would make."""
    return snapshot_format.dumped_bytes(_metadata(fingerprint), _arrays(snapshot))


def dump(file: IO[bytes], snapshot: Snapshot, fingerprint: Fingerprint) -> int:
    """Write the snapshot to an open file; the bytes written. Raises OSError."""
    return snapshot_format.dump(file, _metadata(fingerprint), _arrays(snapshot))


def write(path: Path, snapshot: Snapshot, fingerprint: Fingerprint) -> int:
    """Put the snapshot at `path`, whole or not at all; the bytes written. Raises SnapshotRefused."""
    try:
        with _replacing(path) as file:
            return dump(file, snapshot, fingerprint)
    except OSError as error:
        raise SnapshotRefused(Reason.UNWRITABLE, _cause(error)) from error


def parse(raw: bytes | memoryview, fingerprint: Fingerprint) -> Snapshot:
    """The snapshot in the bytes of a file, its blocks as views of them.

    fingerprint: what runs here. Raises SnapshotRefused unless the file is whole and made by it.
    """
    metadata, arrays = snapshot_format.parse(raw)
    _check_origin(metadata, fingerprint)
    try:
        blocks, states = _numbered(arrays, "blocks."), _numbered(arrays, "states.")
        tokens, ids, logits = (arrays[name] for name in ("tokens", "probe_ids", "probe_logits"))
    except KeyError as error:
        raise SnapshotRefused(Reason.DAMAGED) from error
    at = arrays.get("state_tokens", np.empty(0, np.int32))
    if not (_are_integers(tokens) and _are_integers(at)):
        raise SnapshotRefused(Reason.DAMAGED)
    snapshot = Snapshot(tokens.tolist(), blocks, ids, logits, states, at.tolist())
    if not _is_consistent(snapshot):
        raise SnapshotRefused(Reason.DAMAGED)
    return snapshot


def _numbered(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> list[npt.NDArray[Any]]:
    """The arrays `prefix`0, `prefix`1, ... Raises KeyError."""
    count = sum(name.startswith(prefix) for name in arrays)
    return [arrays[f"{prefix}{i}"] for i in range(count)]


def _are_integers(values: npt.NDArray[Any]) -> bool:
    return values.dtype == np.int32 and values.ndim == 1


def read(path: Path, fingerprint: Fingerprint) -> Snapshot:
    """The snapshot at `path`, verified as by `parse`. Raises SnapshotRefused."""
    try:
        raw = _contents(path)
    except FileNotFoundError as error:
        raise SnapshotRefused(Reason.MISSING) from error
    except OSError as error:
        raise SnapshotRefused(Reason.UNREADABLE, _cause(error)) from error
    return parse(raw, fingerprint)


def _contents(path: Path) -> memoryview:
    """The file's bytes, read rather than mapped: what was verified cannot change any more.

    Two threads read it, since most of the time goes to the fresh memory that it is read into.
    """
    raw = fresh_bytes(path.stat().st_size).data
    middle = len(raw) // 2
    with ThreadPoolExecutor(1) as second:
        rest = second.submit(_read_part, path, middle, raw[middle:])
        _read_part(path, 0, raw[:middle])
        rest.result()
    return raw


def _read_part(path: Path, begin: int, part: memoryview) -> None:
    """Fill `part` from the file's byte `begin` on; a file that has shrunk leaves zeros."""
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        filled = 0
        while count := file.readinto(part[filled:]):
            filled += count


def _metadata(fingerprint: Fingerprint) -> dict[str, str]:
    return {"format": FORMAT, "version": VERSION, **asdict(fingerprint)}


def _arrays(snapshot: Snapshot) -> dict[str, npt.NDArray[Any]]:
    assert _is_consistent(snapshot), "blocks or probe of a snapshot have differing lengths or types"
    arrays = {
        "tokens": np.asarray(snapshot.tokens, np.int32),
        "probe_ids": np.ascontiguousarray(snapshot.probe_ids),
        "probe_logits": np.ascontiguousarray(snapshot.probe_logits),
    } | {f"blocks.{i}": np.ascontiguousarray(raw) for i, raw in enumerate(snapshot.blocks)}
    if not snapshot.states:
        return arrays
    states = {f"states.{i}": np.ascontiguousarray(raw) for i, raw in enumerate(snapshot.states)}
    return arrays | {"state_tokens": np.asarray(snapshot.state_tokens, np.int32)} | states


def _is_consistent(snapshot: Snapshot) -> bool:
    """Whether shapes and types are as documented."""
    ids, logits = snapshot.probe_ids, snapshot.probe_logits
    return (
        all(raw.ndim == 2 and raw.dtype == np.uint8 for raw in (*snapshot.blocks, *snapshot.states))
        and len({len(raw) for raw in snapshot.blocks}) <= 1
        and {len(raw) for raw in snapshot.states} <= {len(snapshot.state_tokens)}
        and ids.ndim == 1
        and ids.shape == logits.shape
        and ids.dtype == np.int32
        and logits.dtype == np.float32
    )


def _check_origin(metadata: Mapping[str, str], fingerprint: Fingerprint) -> None:
    if metadata.get("format") != FORMAT:
        raise SnapshotRefused(Reason.DAMAGED, "it is no snapshot of this program")
    if metadata.get("version") != VERSION:
        raise SnapshotRefused(Reason.VERSION, f"{metadata.get('version')}, here {VERSION}")
    for part in fields(fingerprint):
        there, here = metadata.get(part.name, "none"), getattr(fingerprint, part.name)
        if there != here:
            detail = f"{_shortened(there)}, here {_shortened(here)}"
            raise SnapshotRefused(Reason[part.name.upper()], detail)


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:12]}…"


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` at the end, or vanishes on any exception.

    No fsync: after a power cut a torn file fails its checksum, which costs a prefill and no more.
    """
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f"{path.stem[:16]}-", suffix=PARTIAL_SUFFIX, delete=False
    ) as file:
        partial = Path(file.name)
        try:
            yield file
            file.close()
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
