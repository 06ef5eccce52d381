"""What OpenVINO makes of this CPU, asked of OpenVINO itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

SIZE = 64


def computes_in_bf16() -> bool:
    """Whether activations are bf16 unless f32 is asked for: with AVX512_BF16 or AMX."""
    hint = ov.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    return bool(hint == ov.Type.bf16)


def rounds_activations() -> bool:
    """Whether products with int8 weights are in int8: with VNNI, but not with AMX.

    No property tells, so it is tried: activations rounded in groups give another product.
    """
    x = np.random.default_rng(1).normal(size=(1, SIZE)).astype(np.float32)
    whole, rounded = (_product(x, group) for group in (0, SIZE))
    return not np.array_equal(whole, rounded)


def _product(x: npt.NDArray[np.float32], group: int) -> Any:
    codes = np.random.default_rng(2).integers(-127, 128, (SIZE, SIZE)).astype(np.int8)
    scales = ops.constant(np.full((SIZE, 1), 0.01, np.float16))
    weights = ops.multiply(ops.convert(ops.constant(codes), "f16"), scales)
    rows = ops.parameter([-1, SIZE], ov.Type.f32)
    model = ov.Model([ops.matmul(rows, ops.convert(weights, "f32"), False, True)], [rows])
    properties = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group)}
    return ov.Core().compile_model(model, "CPU", properties)([x])[0]
