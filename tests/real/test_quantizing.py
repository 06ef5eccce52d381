"""Weights that become int8 at load give nearly what they gave, and the model says what it said."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.model import quantizing
from engine.model.batch import build_inputs
from engine.model.kv_cache import KVCache
from engine.model.model import CompileOptions, Model
from engine.model.quantizing import quantize_products
from engine.scheduling.sequence import Batch, Sequence
from engine.text.tokenizer import Tokenizer
from tests.real.talk import NOISE, TALK

ROWS, GROUPS, SIZE = 24, 3, 32


def weights(zero_points: npt.NDArray[Any], *, code_type: ov.Type = ov.Type.u4) -> Any:
    """4-bit codes of which every fifth group has scales of zero."""
    codes = ov.Tensor(code_type, ov.Shape([ROWS, GROUPS, SIZE]))
    raw = codes.data.reshape(-1).view(np.uint8)
    rng = np.random.default_rng(1)
    raw[:] = rng.integers(0, 256, raw.size)
    scales = rng.uniform(0.01, 0.1, (ROWS, GROUPS, 1)).astype(np.float16)
    scales.reshape(-1)[::5] = 0
    x = ops.convert(ov.op.Constant(codes), "f16")
    zero = ops.constant(zero_points)
    x = ops.subtract(x, zero if zero_points.dtype == np.float16 else ops.convert(zero, "f16"))
    x = ops.multiply(x, ops.constant(scales))
    return ops.convert(ops.reshape(x, ops.constant([ROWS, GROUPS * SIZE]), False), "f32")


def fractions() -> npt.NDArray[np.float16]:
    return np.random.default_rng(2).uniform(3, 12, (ROWS, GROUPS, 1)).astype(np.float16)


def model_of(weights: Any) -> ov.Model:
    x = ops.parameter([-1, GROUPS * SIZE], ov.Type.f32)
    return ov.Model([ops.matmul(x, weights, False, True)], [x])


def dense(model: ov.Model) -> npt.NDArray[np.float32]:
    """The weights [in, out] that the model multiplies with."""
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: npt.NDArray[np.float32] = compiled([np.eye(GROUPS * SIZE, dtype=np.float32)])[0]
    return found


def test_fractional_zero_points_become_int8_a_small_part_of_a_step_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        quantizing, "_WEIGHTS_AT_ONCE", 7 * GROUPS * SIZE
    )  # so that the last part is smaller
    model = model_of(weights(fractions()))
    before = dense(model)
    with np.errstate(all="raise"):
        assert quantize_products(model) == 1
    types = {
        node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"
    }
    assert ov.Type.i8 in types
    assert ov.Type.u4 not in types
    after = dense(model)
    step = 0.1
    assert np.abs(before).max() > 5 * step
    np.testing.assert_allclose(after, before, atol=0.06 * step)
    assert (after[before == 0] == 0).all()


@pytest.mark.parametrize(
    "kept",
    [
        weights(np.full((ROWS, GROUPS, 1), 8, np.uint8)),
        weights(fractions(), code_type=ov.Type.i4),
        weights(fractions()[:1]),
        weights(fractions()[0, 0, 0]),
        ops.constant(np.zeros((ROWS, GROUPS * SIZE), np.float32)),
    ],
    ids=["whole zero-points", "signed codes", "shared by rows", "one zero-point", "floats"],
)
def test_other_weights_stay(kept: Any) -> None:
    assert quantize_products(model_of(kept)) == 0


def test_int8_weights_have_a_scale_for_each_row() -> None:
    model = model_of(weights(fractions()))
    quantize_products(model)
    shapes = [
        list(n.get_output_shape(0)) for n in model.get_ops() if n.get_type_name() == "Constant"
    ]
    assert sorted(shapes) == [[ROWS, 1], [ROWS, GROUPS * SIZE]]


@pytest.mark.parametrize(
    ("precision", "group"), [("auto", quantizing.ACTIVATION_GROUP), ("f32", 0)]
)
def test_activations_are_rounded_in_larger_groups_beside_them(
    smollm2_dir: Path, precision: str, group: int
) -> None:
    options = CompileOptions(device="CPU", num_threads=2, kv_precision="u8", precision=precision)
    compiled = Model(smollm2_dir, options)._any.compiled
    assert int(compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")) == group


def test_weights_of_two_products_are_made_once() -> None:
    x, shared = ops.parameter([-1, GROUPS * SIZE], ov.Type.f32), weights(fractions())
    model = ov.Model([ops.matmul(x, shared, False, True) for _ in range(2)], [x])
    assert quantize_products(model) == 1
    assert sum(n.get_element_type() == ov.Type.i8 for n in model.get_ops()) == 1
    assert not any(n.get_element_type() == ov.Type.u4 for n in model.get_ops())


def test_a_large_model_keeps_its_4_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "MAX_WEIGHTS", ROWS * GROUPS * SIZE - 1)
    assert quantize_products(model_of(weights(fractions()))) == 0


def logits(model_dir: Path, precision: str, tokens: list[int]) -> npt.NDArray[np.float32]:
    """Logits [tokens, vocab] of one forward."""
    model = Model(
        model_dir,
        CompileOptions(device="CPU", num_threads=2, kv_precision="u8", precision=precision),
    )
    model.bind(KVCache(model.kv_ports, 16))
    blocks = list(range(-(-len(tokens) // model.block_size)))
    sequence = Sequence(list(tokens), blocks, 0, len(tokens))
    inputs = build_inputs(Batch([sequence], []))
    inputs["logit_indices"] = np.arange(len(tokens))
    return model.forward(inputs).copy()


def test_the_most_probable_token_stays_wherever_its_lead_exceeds_the_noise(
    smollm2_dir: Path,
) -> None:
    tokens = Tokenizer(smollm2_dir).encode(TALK)
    exact, quick = (logits(smollm2_dir, precision, tokens) for precision in ("f32", "auto"))
    ordered = np.sort(exact, axis=-1)
    lead = ordered[:, -1] - ordered[:, -2]
    differs = exact.argmax(-1) != quick.argmax(-1)
    assert (lead > NOISE).mean() > 0.6
    assert not (differs & (lead > NOISE)).any()
