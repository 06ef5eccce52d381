"""Moving kept tokens to smaller positions after whole turns were dropped, without a forward.

Owns: what is moved where, and RoPE by a negative distance. Does not know: which block belongs to whom,
turns, the model, how blocks are laid out (key_blocks.py). Only layer 0 equals a recompute: deeper
keys and all values were computed while the dropped text was still visible, and keep what they saw of it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import ModelUnsupported
from engine.model import KVCache, KVPort
from engine.tiers.key_blocks import Keys, Raw, Rows, decode_keys, encode_keys, head_dim, take_rows

BLOCKS_AT_ONCE = 16  # bounds the memory that a move takes, and keeps one layer of it in L2
_HALF_SPLIT = frozenset({"llama", "mistral", "qwen2", "qwen3"})


@dataclass(frozen=True, slots=True)
class Cut:
    """Tokens [begin, end) of `num_tokens` cached ones are dropped; those behind move up."""

    begin: int
    end: int
    num_tokens: int

    def __post_init__(self) -> None:
        assert 0 <= self.begin <= self.end <= self.num_tokens

    @property
    def distance(self) -> int:
        """How many positions each token behind the cut moves."""
        return self.end - self.begin

    @property
    def num_kept(self) -> int:
        """Tokens that are left."""
        return self.num_tokens - self.distance

    def rewritten(self, block_size: int) -> range:
        """Places in the new block table that need other contents; those before stay as they are."""
        return range(self.begin // block_size, -(-self.num_kept // block_size))

    def sources(self, part: range, block_size: int) -> tuple[list[int], Rows]:
        """Where the tokens of places `part` in the new table come from.

        Returns places in the old table, and rows [len(part) * block_size] into those blocks laid
        end to end. Slots behind the last token repeat it, so that they widen no range.
        """
        new = np.arange(part.start * block_size, part.stop * block_size)
        new = np.minimum(new, self.num_kept - 1)
        old = np.where(new < self.begin, new, new + self.distance)
        places, which = np.unique(old // block_size, return_inverse=True)
        return places.tolist(), which * block_size + old % block_size


class KeyRotation:
    """Moves the KV of one model's sequences; `ports` are all of its cache inputs.

    inv_freq: [rotary_dim / 2] radians per position of half-split RoPE on the first rotary_dim
    channels of a head; see `read_inv_freq`. Raises ModelUnsupported for unknown block layouts.
    """

    def __init__(self, ports: Sequence[KVPort], inv_freq: Sequence[float]) -> None:
        self._inv_freq = np.asarray(inv_freq, np.float64)
        values = [port for port in ports if port.name.startswith("value_cache")]
        self.block_size = values[0].block_shape[1]
        self._ports = list(ports)
        for port in ports:
            if port.name.startswith("key_cache"):
                _check_key_port(port, 2 * len(self._inv_freq))

    def move(
        self,
        kv_cache: KVCache,
        table: Sequence[int],
        targets: Sequence[int],
        cut: Cut,
        part: range | None = None,
    ) -> None:
        """Write the KV of what `cut` leaves into `targets`, one for each of `cut.rewritten()`.

        Targets may be blocks of `table` in the same places (they are overwritten in rising order)
        if nobody else uses them. `part` does a slice of `cut.rewritten()` only, in rising order,
        so that a long move can give way to other work.
        """
        places = cut.rewritten(self.block_size)
        assert len(targets) == len(places)
        todo = places if part is None else part
        for begin in range(todo.start, todo.stop, BLOCKS_AT_ONCE):
            now = range(begin, min(begin + BLOCKS_AT_ONCE, todo.stop))
            sources, rows = cut.sources(now, self.block_size)
            raw = kv_cache.read_blocks([table[place] for place in sources])
            num_unmoved = max(cut.begin - now.start * self.block_size, 0)
            moved = self.moved(raw, rows, num_unmoved, -cut.distance)
            kv_cache.write_blocks([targets[place - places.start] for place in now], moved)

    def moved(self, raw: Sequence[Raw], rows: Rows, num_unmoved: int, distance: int) -> list[Raw]:
        """Blocks made of token `rows` of the blocks `raw`, one [blocks, bytes] array for each port.

        Keys are rotated by `distance` positions, except in the first `num_unmoved` rows.
        """
        moved = []
        for port, blocks in zip(self._ports, raw, strict=True):
            if port.name.startswith("value_cache"):
                moved.append(take_rows(port, blocks, rows))
                continue
            keys = decode_keys(port, blocks).take(rows, axis=1)
            rotate(keys[:, num_unmoved:], distance * self._inv_freq)
            moved.append(encode_keys(port, keys))
        return moved


def rotate(keys: Keys, angles: npt.NDArray[np.float64]) -> None:
    """Turn `keys` [..., head_dim] in place by `angles` [rotary_dim / 2] radians, half-split RoPE."""
    half = len(angles)
    first, second = keys[..., :half], keys[..., half : 2 * half]
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    turned = first * cos
    turned -= second * sin
    second *= cos
    second += first * sin
    first[...] = turned


def _check_key_port(port: KVPort, rotary_dim: int) -> None:
    channels = head_dim(port)
    if channels is None:
        raise ModelUnsupported(
            f"{port.name}: key blocks of {port.element_type.get_type_name()} {port.block_shape} cannot "
            "be moved. Choose another KV precision, or recompute after an overflow."
        )
    if rotary_dim > channels:
        raise ModelUnsupported(
            f"config.json rotates {rotary_dim} channels, but a head of {port.name} has {channels}. "
            "Recompute after an overflow, or export the model again."
        )


def read_inv_freq(model_dir: Path) -> list[float]:
    """Radians per position of each rotated pair, from config.json.

    This project's exports name them as rotary_inv_freq. For other models they follow from the RoPE
    settings, where those are plain, linear or llama3 (the formula of Llama 3.1's reference code).
    Raises ModelUnsupported where the keys' rotation is not surely known.
    """
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    if named := config.get("rotary_inv_freq"):
        return [float(value) for value in named]
    family = config.get("model_type")
    if family not in _HALF_SPLIT:
        raise _unknown(model_dir, f"how models of type {family!r} rotate their keys is not known")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    partial = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    rotary_dim = int(head_dim * partial)
    plain = theta ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
    scaled: list[float] = _scaled(plain, rope, model_dir).tolist()
    return scaled


def _scaled(
    plain: npt.NDArray[np.float64], rope: Mapping[str, Any], model_dir: Path
) -> npt.NDArray[np.float64]:
    method = rope.get("rope_type", rope.get("type", "default"))
    if method == "default":
        return plain
    if method == "linear":
        return plain / float(rope["factor"])
    if method != "llama3":
        raise _unknown(model_dir, f"RoPE of type {method!r} is not supported")
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    turns = float(rope["original_max_position_embeddings"]) * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - smooth) * plain / float(rope["factor"]) + smooth * plain


def _unknown(model_dir: Path, reason: str) -> ModelUnsupported:
    return ModelUnsupported(
        f"{model_dir}: keys cannot be moved, because {reason}. Recompute after an overflow."
    )
