"""A conversation that is only on disk: read its KV back, or prefill its tokens again.

A restore is all that stands between the request and KV that can be used: reading the file, its
checksum, placing the blocks, and computing the last token again to compare its logits. Both are
done by the engine's own parts, in turns, and their medians are reported. The file was written
moments before, so it comes from the system's page cache; one restore that had to go to the disk
is shown beside it. At the end the restored KV and that which never left memory each predict the
same further tokens, one by one, and their logits are compared bit for bit.
"""

import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.conversation import text_of
from bench.inside import OpenCore
from engine import SessionId
from engine.conversations import Session
from engine.scheduling import Sequence
from engine.text import Ledger, Segment
from engine.tiers import snapshot_key

HISTORY = 2048
ROUNDS = 7
FURTHER_TOKENS = 8
KV_BUDGET = 96 << 20


def _conversation(inside: OpenCore) -> Session:
    """A session of exactly HISTORY tokens with their KV."""
    core = inside.core
    session = inside.sessions.open(SessionId("bench", "restore"))
    core.parts.journal.add(session, "user", "a long text")
    branch = session.branches[session.conversation.head] = session.active
    tokens = core.parts.tokenizer.encode(text_of(core.parts.tokenizer, HISTORY + 100))
    branch.sequence.tokens = tokens[:HISTORY]
    branch.ledger = Ledger((Segment("a long text", HISTORY),))
    assert len(branch.sequence.tokens) == HISTORY
    _prefill_s(inside, branch.sequence)
    return session


def _prefill_s(inside: OpenCore, sequence: Sequence) -> float:
    """Seconds of the engine's own prefill, from the tokens to the KV and the last logits."""
    scheduler, runner = inside.core.parts.scheduler, inside.core.parts.runner
    began_at = time.perf_counter()
    scheduler.add(sequence)
    while sequence.num_uncached_tokens:
        batch = scheduler.schedule()
        assert batch is not None
        runner.run(batch)
        scheduler.commit(batch)
    scheduler.remove(sequence)
    return time.perf_counter() - began_at


def _restore_s(inside: OpenCore, session: Session) -> float:
    """Seconds from wanting the spilled KV to having it, verified."""
    tiers, branch = inside.core.parts.tiers, session.active
    assert branch.sequence.num_cached_tokens == 0
    began_at = time.perf_counter()
    loading = tiers.fetch(session, branch, HISTORY)
    assert loading is not None, "the KV is not on disk, or restoring it does not pay"
    num_restored = tiers.adopt(branch.sequence, loading.result())
    took_s = time.perf_counter() - began_at
    assert num_restored == HISTORY
    return took_s


def _next_logits(inside: OpenCore, sequence: Sequence) -> np.ndarray[Any, Any]:
    """Logits [FURTHER_TOKENS, vocab] of further tokens, computed one by one as answers are."""
    further = sequence.tokens[:FURTHER_TOKENS]
    rows = []
    for token in further:
        sequence.tokens.append(token)
        rows.append(inside.logits(sequence, 1))
    sequence.truncate(HISTORY, inside.core.parts.pool)
    return np.concatenate(rows)


def _drop_from_page_cache(path: Path) -> None:
    """The next read of the file has to go to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _measure(inside: OpenCore) -> dict[str, Any]:
    pool, session = inside.core.parts.pool, _conversation(inside)
    sequence = session.active.sequence
    copy = _private_copy(inside, sequence)
    never_spilled = _next_logits(inside, copy)
    copy.truncate(0, pool)
    inside.spill(session)
    _blacken(inside)
    restores, prefills = [], []
    for _ in range(ROUNDS):
        restores.append(_restore_s(inside, session))
        restored = _next_logits(inside, sequence)
        sequence.truncate_kv(0, pool)
        prefills.append(_prefill_s(inside, sequence))
        sequence.truncate_kv(0, pool)
        _blacken(inside)
    disk = inside.core.parts.tiers.disk
    assert disk is not None
    path = disk.folder.path(snapshot_key(session, session.conversation.head))
    _drop_from_page_cache(path)
    return {
        "restore_s": median(restores),
        "reprefill_s": median(prefills),
        "cold_s": _restore_s(inside, session),
        "bytes": path.stat().st_size,
        "max_logit_diff": float(np.abs(restored - never_spilled).max()),
    }


def _blacken(inside: OpenCore) -> None:
    """Overwrite every free block, so that nothing can be found in memory that was left there."""
    parts = inside.core.parts
    blocks = parts.pool.try_allocate(parts.pool.num_free)
    assert blocks is not None
    black = [np.full_like(raw, 0x55) for raw in parts.tiers.transfer.storage.read_blocks(blocks)]
    parts.tiers.transfer.storage.write_blocks(blocks, black)
    parts.pool.release(blocks)


def _private_copy(inside: OpenCore, sequence: Sequence) -> Sequence:
    """The same tokens with a copy of their KV."""
    parts = inside.core.parts
    blocks = parts.pool.try_allocate(len(sequence.block_table))
    assert blocks is not None
    for source, target in zip(sequence.block_table, blocks, strict=True):
        parts.runner.copy_block(source, target)
    return Sequence(list(sequence.tokens), blocks, sequence.num_cached_tokens)


def run(model_dir: Path) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    with TemporaryDirectory() as folder:
        inside = OpenCore(model_dir, data_dir=Path(folder), kv_budget_bytes=KV_BUDGET)
        measured = _measure(inside)
        inside.close()
    restore_ms, reprefill_ms = 1e3 * measured["restore_s"], 1e3 * measured["reprefill_s"]
    print(f"{HISTORY} tokens, medians of {ROUNDS} rounds")
    print(f"{'restored':>24} {restore_ms:>9.1f} ms")
    print(f"{'restored, file uncached':>24} {1e3 * measured['cold_s']:>9.1f} ms (once)")
    print(f"{'prefilled again':>24} {reprefill_ms:>9.1f} ms")
    print(f"{'on disk':>24} {measured['bytes'] / 2**20:>9.1f} MiB")
    return {
        "history": HISTORY,
        "restore_ms": round(restore_ms, 1),
        "reprefill_ms": round(reprefill_ms, 1),
        "speedup": round(reprefill_ms / restore_ms, 1),
        "bytes_per_token": round(measured["bytes"] / HISTORY),
        "max_logit_diff": measured["max_logit_diff"],
    }
