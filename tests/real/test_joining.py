"""Products that are joined give what they gave apart."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.model import joining
from engine.model.joining import join_small_products

IN = 64
Weights = Callable[[int, int], Any]


def random(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def plain(height: int, seed: int) -> Any:
    return ops.constant(random(seed, height, IN))


def half(height: int, seed: int) -> Any:
    return ops.convert(ops.constant(random(seed, height, IN).astype(np.float16)), "f32")


def grouped(height: int, seed: int) -> Any:
    """4-bit codes in groups of 32 with scales and zero-points."""
    groups = IN // 32
    codes = ov.Tensor(ov.Type.u4, ov.Shape([height, groups, 32]))
    raw = codes.data.reshape(-1).view(np.uint8)
    raw[:] = np.random.default_rng(seed).integers(0, 256, raw.size)
    x = ops.convert(ov.op.Constant(codes), "f16")
    x = ops.subtract(x, ops.constant(random(seed + 1, height, groups, 1).astype(np.float16)))
    x = ops.multiply(x, ops.constant(random(seed + 2, height, groups, 1).astype(np.float16)))
    return ops.convert(ops.reshape(x, ops.constant([height, IN]), False), "f32")


def model_of(*weights: Any, transposed: bool = True) -> ov.Model:
    x = ops.parameter([-1, IN], ov.Type.f32)
    return ov.Model([ops.matmul(x, w, False, transposed) for w in weights], [x])


def outputs(model: ov.Model) -> list[npt.NDArray[np.float32]]:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(one) for one in compiled([random(0, 5, IN)]).values()]


def num_products(model: ov.Model) -> int:
    return sum(node.get_type_name() == "MatMul" for node in model.get_ops())


@pytest.mark.parametrize("weights", [plain, half, grouped])
def test_three_products_become_one_and_give_the_same(weights: Weights) -> None:
    model = model_of(weights(24, 1), weights(8, 2), weights(16, 3))
    before = outputs(model)
    assert join_small_products(model) == 2
    assert num_products(model) == 1
    after = outputs(model)
    assert [one.shape for one in after] == [(5, 24), (5, 8), (5, 16)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-5)


def odd(height: int, seed: int) -> Any:
    """Half-precision weights with a 4-bit zero-point for each row."""
    zero_points = ov.Tensor(ov.Type.u4, ov.Shape([height, 1]))
    raw = zero_points.data.reshape(-1).view(np.uint8)
    raw[:] = np.random.default_rng(seed).integers(0, 256, raw.size)
    codes = ops.convert(ops.constant(random(seed, height, IN).astype(np.float16)), "f32")
    return ops.subtract(codes, ops.convert(ov.op.Constant(zero_points), "f32"))


def test_rows_that_end_within_a_byte_are_joined_where_the_matrices_end_with_one() -> None:
    model = model_of(odd(24, 1), odd(8, 2))
    before = outputs(model)
    assert join_small_products(model) == 1
    for one, other in zip(before, outputs(model), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-5)
    assert join_small_products(model_of(odd(23, 1), odd(8, 2))) == 0


def test_products_of_different_things_stay() -> None:
    x, y = ops.parameter([-1, IN], ov.Type.f32), ops.parameter([-1, IN], ov.Type.f32)
    products = [ops.matmul(one, plain(8, 1), False, True) for one in (x, y)]
    assert join_small_products(ov.Model(products, [x, y])) == 0


@pytest.mark.parametrize(
    "weights", [(plain(8, 1), half(8, 2)), (plain(8, 1), grouped(8, 2))], ids=["half", "grouped"]
)
def test_weights_that_are_made_differently_stay(weights: tuple[Any, ...]) -> None:
    model = model_of(*weights)
    assert join_small_products(model) == 0
    assert num_products(model) == 2


def test_weights_the_other_way_round_stay() -> None:
    both = [ops.constant(random(seed, IN, 8)) for seed in (1, 2)]
    assert join_small_products(model_of(*both, transposed=False)) == 0


def test_products_with_what_is_no_weight_stay() -> None:
    x, y = ops.parameter([-1, IN], ov.Type.f32), ops.parameter([-1, IN], ov.Type.f32)
    products = [ops.matmul(x, y, False, True), ops.matmul(x, plain(8, 1), False, True)]
    assert join_small_products(ov.Model(products, [x, y])) == 0


def test_large_matrices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAX_JOINED_BYTES", 16 * IN * 4)
    assert join_small_products(model_of(plain(8, 1), plain(8, 2))) == 1
    assert join_small_products(model_of(plain(8, 1), plain(9, 2))) == 0


def test_products_of_several_experts_at_once_are_left_as_they_are() -> None:
    experts, out = 4, 8
    x = ops.parameter([experts, -1, IN], ov.Type.f32)
    weights = [ops.constant(random(seed, experts, out, IN)) for seed in (1, 2)]
    model = ov.Model([ops.matmul(x, w, False, True) for w in weights], [x])
    assert join_small_products(model) == 0
    assert num_products(model) == 2
