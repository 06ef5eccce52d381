"""What the engine looks like at one moment, for panels and probes.

Owns: nothing; reads what others own, from any thread. Does not know: who asks.
"""

from dataclasses import dataclass

from engine.conversations import SessionId, SessionTable
from engine.loading import ModelInfo
from engine.turns import EngineCore


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """The engine at one moment. forward_s: seconds spent in OpenVINO's calls since the start.

    disk_bytes: of KV on disk. spilled, restored: snapshots since the start. blocks_by_session counts
    a shared block for each of its sessions.
    """

    sessions: int
    running: int
    waiting: int
    kv_blocks_used: int
    kv_blocks_total: int
    tokens_generated: int
    forward_s: float
    is_warm: bool
    kv_blocks_shared: int
    kv_block_bytes: int
    disk_bytes: int
    spilled: int
    restored: int
    blocks_by_session: dict[SessionId, int]


def stats_of(
    core: EngineCore | None, info: ModelInfo | None, sessions: SessionTable
) -> EngineStats:
    """The figures of now; all zero before the engine is ready."""
    disk = core.parts.tiers.disk if core else None
    return EngineStats(
        sessions=len(sessions),
        running=len(core.parts.scheduler.running) if core else 0,
        waiting=len(core.parts.scheduler.waiting) if core else 0,
        kv_blocks_used=core.parts.pool.num_used if core else 0,
        kv_blocks_total=info.num_blocks if info else 0,
        tokens_generated=core.replies.num_tokens if core else 0,
        forward_s=core.parts.runner.busy_s if core else 0.0,
        is_warm=core.parts.idle.is_warm if core else False,
        kv_blocks_shared=core.parts.pool.num_shared if core else 0,
        kv_block_bytes=info.kv_block_bytes if info else 0,
        disk_bytes=disk.folder.used_bytes if disk else 0,
        spilled=core.parts.tiers.saving.num_saved if core else 0,
        restored=core.parts.tiers.counts.restored if core else 0,
        blocks_by_session={s.id: s.num_blocks for s in sessions if s.id is not None},
    )
