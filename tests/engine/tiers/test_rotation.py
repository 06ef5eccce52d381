"""Moving kept tokens over made-up blocks: pure NumPy, against arithmetic done token by token."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from engine.errors import ModelUnsupported
from engine.model.kv_cache import KVCache, KVPort
from engine.tiers.key_blocks import decode_keys, encode_keys
from engine.tiers.rotation import Cut, KeyRotation, read_inv_freq, rotate

HEADS, BLOCK, WIDTH = 2, 32, 16
ROTARY = 12  # less than a head, as in GLM: the last channels stay
INV_FREQ = 10000.0 ** (-np.arange(0, ROTARY, 2) / ROTARY)
TYPES = {
    "u8": ov.Type.u8,
    "u8 by token": ov.Type.u8,
    "f16": ov.Type.f16,
    "bf16": ov.Type.bf16,
    "f32": ov.Type.f32,
}
# What a value of size 4 may lose on its way into a block and back.
TOLERANCE = {"u8": 0.02, "u8 by token": 0.02, "f16": 2e-3, "bf16": 0.016, "f32": 0.0}

Floats = npt.NDArray[np.float32]


def key_port(kind: str) -> KVPort:
    rows = BLOCK + 8 if kind == "u8" else BLOCK
    width = WIDTH + 8 if kind == "u8 by token" else WIDTH
    return KVPort("key_cache.0", TYPES[kind], (HEADS, rows, width))


def value_port(kind: str) -> KVPort:
    width = WIDTH + 8 if kind.startswith("u8") else WIDTH
    return KVPort("value_cache.0", TYPES[kind], (HEADS, BLOCK, width))


def rotation_of(kind: str) -> KeyRotation:
    return KeyRotation([key_port(kind), value_port(kind)], INV_FREQ.tolist())


def some_keys(tokens: int) -> Floats:
    return np.random.default_rng(3).uniform(-2, 2, (HEADS, tokens, WIDTH)).astype(np.float32)


def at_position(keys: Floats, positions: npt.NDArray[np.int64]) -> Floats:
    """RoPE as the model's own formula has it: x * cos + rotate_half(x) * sin, in float64."""
    angles = positions[:, None] * np.concatenate([INV_FREQ, INV_FREQ])
    turning = keys[..., :ROTARY].astype(np.float64)
    half = ROTARY // 2
    rotated = np.concatenate([-turning[..., half:], turning[..., :half]], -1)
    turned = turning * np.cos(angles) + rotated * np.sin(angles)
    return np.concatenate([turned, keys[..., ROTARY:]], -1).astype(np.float32)


@pytest.mark.parametrize("kind", TYPES)
def test_keys_survive_encoding_and_decoding(kind: str) -> None:
    keys = some_keys(3 * BLOCK)
    back = decode_keys(key_port(kind), encode_keys(key_port(kind), keys.copy()))
    np.testing.assert_allclose(back, keys, rtol=0, atol=TOLERANCE[kind])


@pytest.mark.parametrize("kind", TYPES)
def test_encoding_what_was_decoded_loses_nothing_more(kind: str) -> None:
    port = key_port(kind)
    once = decode_keys(port, encode_keys(port, some_keys(BLOCK)))
    again = decode_keys(port, encode_keys(port, once.copy()))
    np.testing.assert_allclose(again, once, rtol=0, atol=1e-5)


def test_a_channel_with_a_small_range_far_from_zero_keeps_its_range() -> None:
    keys = some_keys(BLOCK)
    keys[:, :, 3] = 100 + keys[:, :, 3] / 100
    keys[:, :, 4] = -7.25
    back = decode_keys(key_port("u8"), encode_keys(key_port("u8"), keys.copy()))
    np.testing.assert_allclose(back[:, :, 3], keys[:, :, 3], rtol=0, atol=2e-4)
    np.testing.assert_allclose(back[:, :, 4], keys[:, :, 4], rtol=0, atol=1e-4)


def test_a_token_with_small_keys_keeps_them_beside_large_ones() -> None:
    keys = some_keys(BLOCK)
    keys[:, 5] /= 1000
    port = key_port("u8 by token")
    back = decode_keys(port, encode_keys(port, keys.copy()))
    np.testing.assert_allclose(back[:, 5], keys[:, 5], rtol=0, atol=1e-5)


def test_bf16_rounds_to_the_nearest_and_ties_to_even() -> None:
    keys = np.full((HEADS, BLOCK, WIDTH), 1.0, np.float32)
    keys[0, 0, :4] = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 3 * 2**-8]
    back = decode_keys(key_port("bf16"), encode_keys(key_port("bf16"), keys))
    np.testing.assert_array_equal(back[0, 0, :4], [1.0, 1 + 2**-6, 1 + 2**-7, -1 - 2**-6])


def test_rotating_by_nothing_changes_nothing() -> None:
    keys = some_keys(40)
    turned = keys.copy()
    rotate(turned, 0 * INV_FREQ)
    np.testing.assert_array_equal(turned, keys)


def test_two_rotations_compose() -> None:
    once, twice = some_keys(40), some_keys(40)
    rotate(once, -700 * INV_FREQ)
    rotate(twice, -300 * INV_FREQ)
    rotate(twice, -400 * INV_FREQ)
    np.testing.assert_allclose(twice, once, atol=1e-5)


def test_a_key_rotated_back_equals_the_key_computed_there() -> None:
    bare, positions = some_keys(50), np.arange(1000, 1050)
    keys = at_position(bare, positions)
    rotate(keys, -333 * INV_FREQ)
    np.testing.assert_allclose(keys, at_position(bare, positions - 333), atol=1e-5)


CUTS = [
    Cut(64, 128, 300),  # whole blocks
    Cut(70, 203, 300),  # inside of blocks
    Cut(0, 33, 300),  # nothing in front
    Cut(40, 45, 70),  # within one block
    Cut(50, 300, 300),  # nothing behind
    Cut(50, 299, 300),
    Cut(3, 3, 9),
    Cut(10, 400, 1300),  # more than is moved at once
]


class Filled:
    """A KV cache with a sequence of `num_tokens` whose keys and values are known."""

    def __init__(self, kind: str, num_tokens: int) -> None:
        self.key_port, self.value_port = key_port(kind), value_port(kind)
        num_blocks = -(-num_tokens // BLOCK)
        self.kv_cache = KVCache([self.key_port, self.value_port], 2 * num_blocks)
        self.table = np.random.default_rng(1).permutation(num_blocks).tolist()
        self.free = list(range(num_blocks, 2 * num_blocks))
        self.bare = some_keys(num_blocks * BLOCK)
        self.keys = at_position(self.bare, np.arange(num_blocks * BLOCK))
        shape = (num_blocks, int(np.prod(self.value_port.block_shape)) * self._item_bytes)
        self.values = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
        raw = [encode_keys(self.key_port, self.keys.copy()), self.values]
        self.kv_cache.write_blocks(self.table, raw)

    @property
    def _item_bytes(self) -> int:
        return int(self.value_port.element_type.size)

    def keys_of(self, table: list[int]) -> Floats:
        return decode_keys(self.key_port, self.kv_cache.read_blocks(table)[0])

    def value_rows(self, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """[tokens, heads, bytes of a row]"""
        shaped = raw.reshape(len(raw), HEADS, BLOCK, -1)
        return np.concatenate([block.swapaxes(0, 1) for block in shaped])


def kept_tokens(cut: Cut) -> list[int]:
    return [*range(cut.begin), *range(cut.end, cut.num_tokens)]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_left_is_as_if_computed_without_the_dropped_tokens(
    kind: str, cut: Cut, in_place: bool
) -> None:
    filled = Filled(kind, cut.num_tokens)
    places = cut.rewritten(BLOCK)
    targets = [filled.table[p] for p in places] if in_place else filled.free[: len(places)]
    rotation_of(kind).move(filled.kv_cache, filled.table, targets, cut)

    table = [*filled.table[: places.start], *targets]
    kept = kept_tokens(cut)
    expected = at_position(filled.bare[:, kept], np.arange(len(kept)))
    found = filled.keys_of(table)[:, : len(kept)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3 * TOLERANCE[kind] + 1e-4)
    values = filled.value_rows(filled.kv_cache.read_blocks(table)[1])[: len(kept)]
    np.testing.assert_array_equal(values, filled.value_rows(filled.values)[kept])


def test_a_move_in_parts_equals_one_in_one_go() -> None:
    cut = Cut(70, 203, 1000)
    filled, places = Filled("u8", cut.num_tokens), Cut(70, 203, 1000).rewritten(BLOCK)
    targets = filled.free[: len(places)]
    rotation_of("u8").move(filled.kv_cache, filled.table, targets, cut)
    whole = filled.kv_cache.read_blocks(targets)
    filled.kv_cache.write_blocks(targets, [np.zeros_like(raw) for raw in whole])
    for begin in range(places.start, places.stop, 5):
        part = range(begin, min(begin + 5, places.stop))
        rotation_of("u8").move(filled.kv_cache, filled.table, targets, cut, part)
    for found, expected in zip(filled.kv_cache.read_blocks(targets), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_slots_behind_the_last_token_do_not_widen_the_range_of_a_u8_block() -> None:
    filled = Filled("u8", 64)
    filled.keys[..., -1] = np.where(np.arange(64) < 20, 100 + filled.keys[..., -1] / 100, 0)
    fine = encode_keys(filled.key_port, filled.keys[:, :20].repeat(2, axis=1)[:, :BLOCK])
    filled.kv_cache.write_blocks([filled.table[0]], [fine, filled.values[:1]])
    rotation_of("u8").move(filled.kv_cache, filled.table, filled.free[:1], Cut(0, 4, 16))
    found = filled.keys_of(filled.free[:1])[:, :12, -1]
    expected = filled.keys[:, :20, -1].repeat(2, axis=1)[:, 4:16]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(
    "port",
    [
        KVPort("key_cache.0", ov.Type.u8, (HEADS, BLOCK + 1, WIDTH)),
        KVPort("key_cache.0", ov.Type.u4, (HEADS, BLOCK + 16, WIDTH)),
        KVPort("key_cache.0", ov.Type.f32, (HEADS, BLOCK, ROTARY - 2)),  # narrower than its RoPE
    ],
    ids=["u8", "u4", "narrow"],
)
def test_an_unknown_key_block_is_refused_by_name(port: KVPort) -> None:
    with pytest.raises(ModelUnsupported, match=r"key_cache\.0.*ecompute"):
        KeyRotation([port, value_port("u8")], INV_FREQ.tolist())


def write_config(directory: Path, **config: object) -> Path:
    (directory / "config.json").write_text(json.dumps(config))
    return directory


LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 8}


def test_frequencies_named_by_the_export_come_first(tmp_path: Path) -> None:
    assert read_inv_freq(write_config(tmp_path, rotary_inv_freq=[1, 0.5])) == [1.0, 0.5]


def test_frequencies_follow_from_the_rope_settings(tmp_path: Path) -> None:
    write_config(tmp_path, **LLAMA, rope_theta=100.0)
    np.testing.assert_allclose(read_inv_freq(tmp_path), 100.0 ** (-np.arange(4) / 4))
    scaling = {"rope_theta": 100.0, "rope_type": "linear", "factor": 4}
    write_config(tmp_path, **LLAMA, rope_parameters=scaling)
    np.testing.assert_allclose(read_inv_freq(tmp_path), 100.0 ** (-np.arange(4) / 4) / 4)


def test_llama3_scaling_stretches_only_the_long_wavelengths(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    write_config(tmp_path, **LLAMA, head_dim=64, rope_theta=500000.0, rope_scaling=scaling)
    found = np.array(read_inv_freq(tmp_path))
    plain = 500000.0 ** (-np.arange(32) / 32)
    wavelength = 2 * np.pi / plain
    np.testing.assert_allclose(found[wavelength < 2048], plain[wavelength < 2048])
    np.testing.assert_allclose(found[wavelength > 8192], plain[wavelength > 8192] / 8)
    middle = (wavelength > 2048) & (wavelength < 8192)
    assert middle.any()
    assert ((found > plain / 8) & (found < plain))[middle].all()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**LLAMA, "rope_scaling": {"rope_type": "yarn", "factor": 4}}, "yarn"),
        ({"model_type": "glm"}, "glm"),
    ],
    ids=["yarn", "glm"],
)
def test_a_rotation_that_is_not_known_is_refused_with_its_reason(
    tmp_path: Path, config: dict[str, object], reason: str
) -> None:
    with pytest.raises(ModelUnsupported, match=reason):
        read_inv_freq(write_config(tmp_path, **config))
