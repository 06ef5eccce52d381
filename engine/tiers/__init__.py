"""Where KV is: in memory, on disk, in a file; how it is copied, proved and moved.

Does not know turns, templates or what a conversation says.
"""

from engine.tiers import portable
from engine.tiers.assembly import make_tiers
from engine.tiers.portable import PortableTokens
from engine.tiers.prefixes import Prefixes
from engine.tiers.rotation import Cut, KeyRotation, read_inv_freq
from engine.tiers.saving import snapshot_key
from engine.tiers.shift import Move, Shift
from engine.tiers.snapshot import Fingerprint, Reason, Snapshot, SnapshotRefused
from engine.tiers.tiers import Tiers

__all__ = [
    "Cut",
    "Fingerprint",
    "KeyRotation",
    "Move",
    "PortableTokens",
    "Prefixes",
    "Reason",
    "Shift",
    "Snapshot",
    "SnapshotRefused",
    "Tiers",
    "make_tiers",
    "portable",
    "read_inv_freq",
    "snapshot_key",
]
