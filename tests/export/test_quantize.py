"""int8 and int4: exactness, error bounds, the search's gain, quality, and the compiled graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from export import export_model
from export.formats import WeightFormat
from export.packing import CHUNK_VALUES, Coder, Packed, Scratch, dense, pack
from export.quantize import Int4Coder, Int8Coder
from export.tensors import StoredTensor
from tests.export.reference import F, Reference, divergence
from tests.export.running import Stateful, compiled


def stored(values: F) -> StoredTensor:
    return StoredTensor("w", values, "F32", values.shape)


def decoded(packed: Packed) -> F:
    """The values that the IR's decompression gives, from the bytes alone."""
    rows, columns = packed.shape
    groups = columns // packed.group_size
    codes = unpacked(packed.codes, packed.code_type, rows * columns)
    values = codes.reshape(rows, groups, packed.group_size).astype(np.float32)
    if packed.zero_points is not None:
        zeros = unpacked(packed.zero_points, str(packed.zero_type), rows * groups)
        values -= zeros.reshape(rows, groups, 1).astype(np.float32)
    return (values * packed.scales.astype(np.float32)[..., None]).reshape(rows, columns)


def unpacked(raw: NDArray[Any], kind: str, count: int) -> NDArray[Any]:
    if kind in ("u8", "f16"):
        return raw.astype(np.float32)
    flat = raw.view(np.uint8)
    nibbles = np.stack([flat & 15, flat >> 4], axis=1).reshape(-1)[:count].astype(np.int16)
    return np.where(nibbles > 7, nibbles - 16, nibbles) if kind == "i4" else nibbles


@pytest.fixture
def weights() -> F:
    rng = np.random.default_rng(1)
    # Students of five degrees: the heavy tails of real weights.
    return rng.standard_t(5, (96, 256)).astype(np.float32) * np.float32(0.02)


CODERS = [
    (Int8Coder(), 0.012),
    (Int4Coder(32), 0.1),
    (Int4Coder(64), 0.12),
    (Int4Coder(128), 0.14),
    (Int4Coder(64, symmetric=True), 0.13),
    (Int4Coder(64, search=False), 0.12),
    (Int4Coder(64, symmetric=True, search=False), 0.14),
]


@pytest.mark.parametrize(("coder", "bound"), CODERS, ids=str)
def test_relative_error_is_within_its_bound(
    coder: Coder, bound: float, weights: F, tmp_path: Path
) -> None:
    got = decoded(pack(stored(weights), coder, Scratch(tmp_path)))
    error = np.linalg.norm(got - weights) / np.linalg.norm(weights)
    assert bound / 3 < error < bound


@pytest.mark.parametrize("coder", [coder for coder, _ in CODERS], ids=str)
def test_chunks_and_threads_change_nothing(
    coder: Coder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(2).standard_normal((1001, 256)).astype(np.float32)
    whole = decoded(pack(stored(values), coder, Scratch(tmp_path)))
    assert values.size < CHUNK_VALUES
    monkeypatch.setattr("export.packing.CHUNK_VALUES", 4096)
    np.testing.assert_array_equal(decoded(pack(stored(values), coder, Scratch(tmp_path))), whole)


@pytest.mark.parametrize("coder", [coder for coder, _ in CODERS], ids=str)
@pytest.mark.parametrize("value", [0.0, 1e-9, -0.5, 3.0])
def test_constant_weights_survive(coder: Coder, value: float, tmp_path: Path) -> None:
    values = np.full((4, 256), value, np.float32)
    got = decoded(pack(stored(values), coder, Scratch(tmp_path)))
    np.testing.assert_allclose(got, values, rtol=2e-3, atol=1e-6)


# Bytes of a super-block of 256 values, and where its float16 factors lie.
SUPER_BLOCKS = {"Q4_K": (144, (0, 2)), "Q5_K": (176, (0, 2)), "Q6_K": (210, (208,))}


def random_super_blocks(encoding: str, rows: int) -> StoredTensor:
    size, factors = SUPER_BLOCKS[encoding]
    rng = np.random.default_rng(3)
    raw = rng.integers(0, 256, (rows, 2, size), np.uint8)
    for at in factors:
        values = rng.uniform(1e-4, 1e-3, (rows, 2, 1)).astype(np.float16)
        raw[..., at : at + 2] = values.view(np.uint8)
    return StoredTensor("w", raw.reshape(rows, -1), encoding, (rows, 512))


@pytest.mark.parametrize(
    ("encoding", "code_type", "bound"),
    [("Q4_K", "u4", 6e-4), ("Q5_K", "u8", 6e-4), ("Q6_K", "u8", 2e-2)],
)
def test_super_blocks_keep_their_values(
    encoding: str, code_type: str, bound: float, tmp_path: Path
) -> None:
    tensor = random_super_blocks(encoding, 24)
    packed = WeightFormat("native").store("w", tensor, Scratch(tmp_path))
    assert isinstance(packed, Packed)
    assert packed.code_type == code_type
    wanted = tensor.read()
    error = np.linalg.norm(decoded(packed) - wanted) / np.linalg.norm(wanted)
    assert error < bound


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_search_lowers_the_weighted_error(symmetric: bool, weights: F, tmp_path: Path) -> None:
    def error(coder: Coder) -> float:
        got = decoded(pack(stored(weights), coder, Scratch(tmp_path)))
        return float((np.abs(weights) * (got - weights) ** 2).sum())

    searched = error(Int4Coder(64, symmetric))
    assert searched < 0.95 * error(Int4Coder(64, symmetric, search=False))


def test_large_values_do_not_overflow_float16(tmp_path: Path) -> None:
    values = np.array([[1e6, -1e6, 3.0, 4.0]], np.float32)
    kept = dense(stored(values), "F16", Scratch(tmp_path)).values
    assert np.isfinite(kept.astype(np.float32)).all()


def test_scratch_arrays_are_mapped_and_leave_no_file(tmp_path: Path) -> None:
    array = Scratch(tmp_path).array((1 << 20,), np.uint8)
    array[:] = 7
    assert isinstance(array, np.memmap)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def formats(smollm2_gguf: Path, smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("formats")
    others = ("int8", "int4")
    made = {name: export_model(str(smollm2_gguf), folder / name, weights=name) for name in others}
    return {"native": smollm2, **made}


# Measured over 2,091 tokens of four texts: int8 0.004, int4 0.32, native 1e-5.
@pytest.mark.parametrize(("weights", "bound"), [("int8", 0.02), ("int4", 0.8)])
def test_quality_on_the_real_model(
    formats: dict[str, Path], smollm2_reference: Reference, weights: str, bound: float
) -> None:
    text = "The capital of France is Paris, and the capital of Japan is Tokyo. " * 2
    tokenizer = compiled(formats["native"] / "openvino_tokenizer.xml", {})
    ids = tokenizer([text])["input_ids"][0].tolist()
    got = Stateful(compiled(formats[weights] / "openvino_model.xml")).step([ids])[0]
    kl, _ = divergence(smollm2_reference.logits(ids), got)
    assert 1e-5 < kl < bound


@pytest.mark.parametrize("weights", ["native", "int8", "int4"])
def test_the_compiled_graph_is_compressed_and_fused(formats: dict[str, Path], weights: str) -> None:
    runtime = compiled(formats[weights] / "openvino_model.xml", {}).get_runtime_model()
    kinds = Counter(_kind(node) for node in runtime.get_ops())
    layers = 30
    assert kinds["RoPE"] == 2 * layers
    assert kinds["RMS"] == 2 * layers + 1
    assert kinds["ScaledDotProductAttention"] == layers
    products = [node for node in runtime.get_ops() if _kind(node) == "FullyConnected"]
    assert len(products) == 7 * layers + 1
    assert {_weight_type(node) for node in products} <= {"u4", "i4", "u8", "i8"}


def _kind(node: ov.Node) -> str:
    return str(node.get_rt_info()["layerType"].value)


def _weight_type(node: ov.Node) -> str:
    return str(node.input(1).get_element_type().get_type_name())
