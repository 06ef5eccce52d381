"""compressed-tensors' integers and FP8, and the FP8 of DeepSeek and Qwen: a weight and scales beside it.

weight_packed [rows, columns / 8] holds neighbouring columns in a word, codes raised by half their range;
weight_zero_point [rows / 8, groups] neighbouring rows, likewise. Unpacked, `weight` is I8 or F8_E4M3.
weight_scale, or weight_scale_inv, is one number, one a row, one a group [rows, groups], or one a block
[rows / 128, columns / 128]; all of them multiply. Scales of activations are left out: these stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.coded import CodedMatrix
from export.float8 import ScaledFloat8
from export.sources.checkpoint import Config
from export.sources.quantized.configuration import unsupported_form
from export.sources.quantized.parts import Parts
from export.sources.quantized.words import (
    CodeReader,
    Rows,
    along_columns,
    along_rows,
    as_floats,
    constant,
)
from export.tensors import Bytes, StoredTensor, compound_tensor

SCALES = ("weight_scale", "weight_scale_inv")
KEYS = ("weight_packed", *SCALES)
PARTS = ("weight", "weight_packed", "weight_zero_point", "weight_shape", "weight_g_idx", *SCALES)
# Of what a runtime would round activations and the KV to.
IGNORED = re.compile(r".*\.(input|output|activation|[qkv])_(scale|zero_point|scale_ub)")
_FORMATS = (
    "pack-quantized",
    "int-quantized",
    "float-quantized",
    "naive-quantized",
    "mixed-precision",
    "dense",
)
_BLOCK = [128, 128]


def check(settings: Config) -> None:
    """Raise ExportError for what is stored otherwise."""
    method = str(settings["quant_method"])
    for form in (part.get("format") for part in [settings, *_groups(settings)]):
        if form not in (None, *_FORMATS):
            raise unsupported_form(method, f"format: {form}")
    sparsity = (settings.get("sparsity_config") or {}).get("format")
    if sparsity not in (None, "dense"):
        raise unsupported_form(method, f"sparsity_config: {sparsity}")
    if (settings.get("transform_config") or {}).get("config_groups"):
        raise unsupported_form(method, "transform_config")


def matrix(parts: Parts, settings: Config) -> StoredTensor:
    """The compound matrix; raises ExportError where parts do not fit."""
    if "weight_packed" in parts.tensors:
        return _packed(parts)
    weight = parts.tensors.get("weight")
    if weight is None or len(weight.shape) != 2:
        raise parts.misfit()
    if weight.encoding == "F8_E4M3":
        return _float8(parts, weight, settings)
    if weight.encoding == "I8":
        return _int8(parts, weight)
    raise parts.unsupported(weight.encoding)


def _packed(parts: Parts) -> StoredTensor:
    words, shape = parts.integers("weight_packed"), parts.integers("weight_shape", 1)
    parts.expect(len(shape) == 2, len(words) == shape[0])
    rows, columns = int(shape[0]), int(shape[1])
    bits, scales = parts.bits(words.shape[1], columns), _scales(parts)
    groups = scales.shape[1]
    zero_points = constant(1 << (bits - 1), groups)
    if "weight_zero_point" in parts.tensors:
        zeros = parts.integers("weight_zero_point")
        parts.expect(zeros.shape == (-(-rows * bits // 32), groups))
        zero_points = along_rows(zeros, bits)
    codes = along_columns(words, bits, columns)
    return _coded(parts, (rows, columns), bits, codes=codes, scales=scales, zero_points=zero_points)


def _int8(parts: Parts, weight: StoredTensor) -> StoredTensor:
    (rows, columns), scales = weight.shape, _scales(parts)
    groups = scales.shape[1]
    zero_points = constant(128, groups)
    if (zeros := parts.tensors.get("weight_zero_point")) is not None:
        parts.expect(zeros.encoding == "I8", zeros.stored.size == scales.stored.size)
        parts.expect(scales.rows in (1, rows))
        shaped = zeros.stored.reshape(scales.shape)
        zero_points = _raised(np.broadcast_to(shaped, (rows, groups)))
    codes = _raised(weight.stored)
    return _coded(parts, (rows, columns), 8, codes=codes, scales=scales, zero_points=zero_points)


def _raised(signed: NDArray[Any]) -> CodeReader:
    """-128..127 as 0..255."""

    def read(rows: Rows) -> Bytes:
        return np.ascontiguousarray(signed[rows]).view(np.uint8) ^ np.uint8(128)

    return read


def _coded(
    parts: Parts,
    shape: tuple[int, int],
    bits: int,
    *,
    codes: CodeReader,
    scales: StoredTensor,
    zero_points: CodeReader,
) -> StoredTensor:
    (rows, columns), groups = shape, scales.shape[1]
    parts.expect(scales.rows in (1, rows))
    if columns % groups:
        raise parts.unsupported(f"{groups} groups")
    index = parts.integers("weight_g_idx", 1) if "weight_g_idx" in parts.tensors else None
    parts.expect(index is None or len(index) == columns)
    coded = CodedMatrix(
        bits,
        columns // groups,
        codes,
        as_floats(np.broadcast_to(scales.stored, (rows, groups)), scales.encoding),
        zero_points,
        parts.column_order(index, groups),
    )
    return compound_tensor(parts.name, "INT", shape, coded)


def _float8(parts: Parts, weight: StoredTensor, settings: Config) -> StoredTensor:
    (rows, columns), scales, given = weight.shape, _scales(parts), _block(settings)
    height = _shared_by(scales.shape[0], rows, given[0])
    width = _shared_by(scales.shape[1], columns, given[1])
    parts.expect(scales.shape == (-(-rows // height), -(-columns // width)))
    read_scales = as_floats(scales.stored, scales.encoding)
    compound = ScaledFloat8(weight.stored, lambda numbers: read_scales(numbers // height), width)
    return compound_tensor(parts.name, weight.encoding, (rows, columns), compound)


def _shared_by(scales: int, size: int, given: int) -> int:
    """How many rows (or columns) of `size` share one of the scales: all, one, or as many as is said."""
    return size // scales if scales in (1, size) else given


def _block(settings: Config) -> list[int]:
    """Rows and columns of a block."""
    weights = [group.get("weights") or {} for group in _groups(settings)]
    stated = [settings.get("weight_block_size"), *(w.get("block_structure") for w in weights)]
    return next((block for block in stated if isinstance(block, list) and len(block) == 2), _BLOCK)


def _groups(settings: Config) -> list[Config]:
    groups = settings.get("config_groups")
    return [g for g in groups.values() if isinstance(g, dict)] if isinstance(groups, dict) else []


def _scales(parts: Parts) -> StoredTensor:
    """As [rows, groups], [1, groups], [rows, 1] or [1, 1]."""
    scales = parts.floats(next((name for name in SCALES if name in parts.tensors), SCALES[0]), None)
    parts.expect(len(scales.shape) <= 2, scales.stored.size > 0)
    stored = scales.stored.reshape(scales.shape or (1,))
    stored = stored.reshape(len(stored), -1)
    return replace(scales, stored=stored, shape=stored.shape)
