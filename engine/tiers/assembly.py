"""The tiers of KV, put together for one model: pool, disk, and what moves KV after an overflow."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import openvino as ov

from engine.config import EngineConfig
from engine.conversations import PROGRAMS, Home
from engine.errors import ModelUnsupported
from engine.model import LoadedModel
from engine.scheduling import Pace
from engine.tiers.disk import Disk
from engine.tiers.rotation import KeyRotation, read_inv_freq
from engine.tiers.shift import Move
from engine.tiers.snapshot import Fingerprint, SnapshotRefused, fingerprint_of
from engine.tiers.snapshot_folder import SnapshotFolder
from engine.tiers.tiers import Tiers
from engine.tiers.transfer import Transfer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KVParts:
    """Where KV is kept, what it depends on, and what moves it after an overflow, if anything does."""

    tiers: Tiers
    fingerprint: Fingerprint
    move: Move | None


def make_tiers(config: EngineConfig, home: Home, loaded: LoadedModel) -> KVParts:
    """The tiers over the model's KV, and over the folder for KV if there is one.

    Raises ModelUnsupported if KV is to be moved and cannot be.
    """
    fingerprint = _fingerprint(config, loaded)
    tiers = Tiers(
        pool=loaded.pool,
        transfer=Transfer(loaded.pool, loaded.kv_cache, loaded.runner.run, loaded.states),
        sessions=home.sessions,
        pace=Pace(),
        block_bytes=loaded.model.block_bytes,
        state_bytes=loaded.model.state_bytes,
        disk=_open_disk(config, fingerprint, home.wake),
    )
    return KVParts(tiers, fingerprint, _mover(config, loaded))


def _fingerprint(config: EngineConfig, loaded: LoadedModel) -> Fingerprint:
    """What KV of this model depends on."""
    ports = loaded.model.kv_ports
    layout = f"{len(ports)} tensors, first {ports[0]}"
    if states := loaded.model.state_ports:
        layout += f"; {len(states)} state tables, first {states[0]}"
    precision = f"{config.kv_precision}/{config.precision}"
    return fingerprint_of(config.model_dir, precision, layout, ov.get_version())


def _open_disk(
    config: EngineConfig, fingerprint: Fingerprint, wake: Callable[[], object]
) -> Disk | None:
    """The folder for KV, if there is one to be had; without it evicted KV is re-prefilled."""
    if config.data_dir is None:
        return None
    try:
        # A folder for each model: snapshots of another one are deleted when they are met.
        folder = SnapshotFolder(
            config.data_dir / "kv" / config.model_dir.name,
            config.disk_budget_bytes,
            minor=PROGRAMS,
        )
    except SnapshotRefused as refusal:
        log.warning("KV is not kept on disk: %s", refusal)
        return None
    return Disk(folder, fingerprint, wake)


def _mover(config: EngineConfig, loaded: LoadedModel) -> Move | None:
    """What moves KV after an overflow, if it is wanted. Raises ModelUnsupported."""
    if config.overflow != "shift":
        return None
    if loaded.states is not None:
        raise ModelUnsupported(
            "This model has layers with a recurrent state, which cannot be moved to other positions. "
            "Leave out --overflow shift: a shortened conversation is computed again then."
        )
    rotation = KeyRotation(loaded.model.kv_ports, read_inv_freq(config.model_dir))
    return lambda table, targets, cut: rotation.move(loaded.kv_cache, table, targets, cut)
