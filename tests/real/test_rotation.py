"""Moved keys against recomputed ones in the real model's blocks.

Layer 0's keys depend on nothing but token and position, so there a moved key must equal the one
that the model computes at the new position. Values of layer 0 depend on the token alone.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.model.batch import build_inputs
from engine.model.kv_cache import KVCache
from engine.model.model import CompileOptions, Model
from engine.scheduling.sequence import Batch, Sequence
from engine.tiers.key_blocks import decode_keys
from engine.tiers.rotation import Cut, KeyRotation, read_inv_freq

Floats = npt.NDArray[np.float32]

TOKENS = [int(t) for t in np.random.default_rng(7).integers(20, 40_000, 400)]
CUT = Cut(45, 178, len(TOKENS))
KEPT = TOKENS[: CUT.begin] + TOKENS[CUT.end :]
OLD, NEW = list(range(13)), list(range(13, 26))


class Blocks:
    """A model with a KV cache of two block tables."""

    def __init__(self, model_dir: Path, kv_precision: str) -> None:
        options = CompileOptions(device="CPU", num_threads=2, kv_precision=kv_precision)
        self.model = Model(model_dir, options)
        self.kv_cache = KVCache(self.model.kv_ports, 26)
        self.model.bind(self.kv_cache)
        self.rotation = KeyRotation(self.model.kv_ports, read_inv_freq(model_dir))

    def compute(self, table: list[int], tokens: list[int]) -> None:
        batch = Batch([Sequence(tokens, table, 0, len(tokens))], [])
        self.model.forward(build_inputs(batch))

    def move(self) -> list[int]:
        """The table of what the cut leaves."""
        places = CUT.rewritten(self.model.block_size)
        self.rotation.move(self.kv_cache, OLD, NEW[: len(places)], CUT)
        return OLD[: places.start] + NEW[: len(places)]

    def keys(self, table: list[int], num_tokens: int = len(KEPT)) -> Floats:
        """Layer 0: [kv_heads, num_tokens, head_dim]."""
        raw = self.kv_cache.read_blocks(table)[0]
        return decode_keys(self.model.kv_ports[0], raw)[:, :num_tokens]


@pytest.fixture(scope="module")
def exact(smollm2_dir: Path) -> Blocks:
    return Blocks(smollm2_dir, "f32")


@pytest.fixture(scope="module")
def quantised(smollm2_dir: Path) -> Blocks:
    return Blocks(smollm2_dir, "u8")


def recomputed(blocks: Blocks) -> Floats:
    table = OLD[: -(-len(KEPT) // 32)]
    blocks.compute(table, KEPT)
    return blocks.keys(table)


def relative_error(found: Floats, expected: Floats) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


def test_f32_keys_equal_those_computed_at_their_new_positions(exact: Blocks) -> None:
    exact.compute(OLD, TOKENS)
    moved = exact.keys(exact.move())
    np.testing.assert_allclose(moved, recomputed(exact), atol=2e-4)


def test_u8_keys_equal_those_computed_at_their_new_positions_within_quantisation(
    quantised: Blocks, exact: Blocks
) -> None:
    quantised.compute(OLD, TOKENS)
    moved, again = quantised.keys(quantised.move()), recomputed(quantised)
    assert relative_error(moved, again) < 8e-3
    # Quantised once more than a recompute, and hardly worse for it.
    truth = recomputed(exact)
    assert relative_error(moved, truth) < 1.6 * relative_error(again, truth)


def test_u8_blocks_are_read_as_openvino_wrote_them(quantised: Blocks, exact: Blocks) -> None:
    for blocks in (quantised, exact):
        blocks.compute(OLD, TOKENS)
    found, expected = (blocks.keys(OLD, len(TOKENS)) for blocks in (quantised, exact))
    assert relative_error(found, expected) < 8e-3


def test_values_move_as_they_are(exact: Blocks) -> None:
    exact.compute(OLD, TOKENS)
    table = exact.move()
    moved = exact.kv_cache.read_blocks(table)[1]
    recomputed(exact)
    again = exact.kv_cache.read_blocks(OLD[: len(table)])[1]
    of_tokens = [
        raw.view(np.float32).reshape(-1, 3, 32, 64).swapaxes(1, 2) for raw in (moved, again)
    ]
    found, expected = (values.reshape(-1, 3, 64)[: len(KEPT)] for values in of_tokens)
    np.testing.assert_allclose(found, expected, atol=1e-4)
