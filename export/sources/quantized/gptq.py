"""GPTQ as AutoGPTQ and GPTQModel write it, v1 and v2, in any order of columns.

qweight [columns / 8, rows] holds neighbouring columns in a word, qzeros [groups, rows / 8] neighbouring rows,
scales [groups, rows], g_idx [columns] each column's group. v1 keeps zero-points less one (vLLM's pull request
26092 tells the two apart).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from export.coded import CodedMatrix
from export.sources.checkpoint import Config
from export.sources.quantized.configuration import unsupported_form
from export.sources.quantized.parts import Parts
from export.sources.quantized.words import along_columns, along_rows, as_floats
from export.tensors import StoredTensor, compound_tensor

PARTS = ("qweight", "qzeros", "scales", "g_idx")
KEYS = ("qweight",)
_V1, _V2 = "gptq", "gptq_v2"


def check(settings: Config) -> None:
    """Raise ExportError for what is packed otherwise."""
    form = settings.get("checkpoint_format") or _V1
    if form not in (_V1, _V2):
        raise unsupported_form("gptq", f"checkpoint_format: {form}")
    if settings.get("is_marlin_format"):
        raise unsupported_form("gptq", "is_marlin_format")


def matrix(parts: Parts, settings: Config) -> StoredTensor:
    """The compound matrix; raises ExportError where parts do not fit."""
    words, zeros, scales = (
        parts.integers("qweight"),
        parts.integers("qzeros"),
        parts.floats("scales"),
    )
    index = parts.integers("g_idx", 1) if "g_idx" in parts.tensors else None
    rows, groups = words.shape[1], scales.shape[0]
    columns = len(words) * 32 // int(settings.get("bits") or 4) if index is None else len(index)
    bits = parts.bits(len(words), columns)
    parts.expect(scales.shape == (groups, rows), zeros.shape == (groups, -(-rows * bits // 32)))
    if not groups or columns % groups:
        raise parts.unsupported(f"{groups} groups")
    offset = 0 if _is_v2(zeros, bits, settings) else 1
    coded = CodedMatrix(
        bits,
        columns // groups,
        along_columns(words.T, bits, columns),
        as_floats(scales.stored.T, scales.encoding),
        along_rows(zeros.T, bits, offset=offset),
        parts.column_order(index, groups),
    )
    return compound_tensor(parts.name, "GPTQ", (rows, columns), coded)


def _is_v2(zeros: NDArray[Any], bits: int, settings: Config) -> bool:
    """By its name, unless symmetric codes tell it: some v2 files go by the name of v1."""
    half, first = 1 << (bits - 1), int(zeros[0, 0]) & ((1 << bits) - 1)
    if settings.get("sym") and first in (half - 1, half):
        return first == half
    return settings.get("checkpoint_format") == _V2
