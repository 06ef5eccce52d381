"""Tiny quantised checkpoints, packed value by value as each format's authors describe it.

Every writer gives the parts of one matrix and the float32 values that they stand for, from the codes before
they were packed: nothing here unpacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.export.checkpoints import F, random_tensors
from tests.export.folders import Config, shapes

Part = tuple[str, NDArray[Any]]  # safetensors' name of the type, the values
Parts = dict[str, Part]
Writer = Callable[[int, int, np.random.Generator], tuple[Parts, F]]

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def packed(values: NDArray[Any], bits: int, order: tuple[int, ...] | None = None) -> NDArray[Any]:
    """[rows, n] -> int32 [rows, ceil(n * bits / 32)]: place i of a word holds its value order[i]."""
    per = 32 // bits
    words = np.zeros((len(values), -(-values.shape[1] // per)), np.int64)
    for row, line in enumerate(values):
        for word in range(words.shape[1]):
            for place in range(per):
                column = word * per + (order or range(per))[place]
                if column < len(line):
                    words[row, word] |= int(line[column]) << (bits * place)
    return words.astype(np.uint32).view(np.int32)


def drawn(
    rows: int, columns: int, groups: int, bits: int, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float16]]:
    """Codes [rows, columns], zero-points and scales [rows, groups] of lively matrices."""
    half, top = 1 << (bits - 1), 1 << bits
    codes = rng.integers(0, top, (rows, columns))
    zeros = rng.integers(half - half // 4, half + half // 4, (rows, groups))
    zeros[0, 0] = 0  # what v1 keeps as the largest code
    scales = rng.uniform(0.5, 1.5, (rows, groups)) * 5 / (top * np.sqrt(columns))
    return codes, zeros, scales.astype(np.float16)


def values_of(
    codes: NDArray[Any], zeros: NDArray[Any], scales: NDArray[Any], of: NDArray[Any]
) -> F:
    """scale * (code - zero), `of` each column's group."""
    values: F = scales.astype(np.float32)[:, of] * (codes - zeros[:, of]).astype(np.float32)
    return values


def gptq(
    group: int | None = 32,
    bits: int = 4,
    stored_less: int = 1,
    symmetric: bool = False,
    index: str = "natural",
) -> Writer:
    """stored_less: 1 for v1. index: of groups; `natural`, `shuffled` as with desc_act, `zeros` or `absent`."""

    def write(rows: int, columns: int, rng: np.random.Generator) -> tuple[Parts, F]:
        size = group or columns
        of = np.arange(columns) // size
        if index == "shuffled":  # the same for all matrices of one width, as in real files
            of = of[np.random.default_rng(columns).permutation(columns)]
        codes, zeros, scales = drawn(rows, columns, columns // size, bits, rng)
        if symmetric:
            zeros[:] = 1 << (bits - 1)
        parts: Parts = {
            "qweight": ("I32", packed(codes, bits).T),
            "qzeros": ("I32", packed((zeros.T - stored_less) % (1 << bits), bits)),
            "scales": ("F16", scales.T),
        }
        if index != "absent":
            written = np.zeros(columns) if index == "zeros" else of
            parts["g_idx"] = ("I32", written.astype(np.int32))
        return parts, values_of(codes, zeros, scales, of)

    return write


def awq(group: int | None = 32) -> Writer:
    def write(rows: int, columns: int, rng: np.random.Generator) -> tuple[Parts, F]:
        size = group or columns
        codes, zeros, scales = drawn(rows, columns, columns // size, 4, rng)
        parts: Parts = {
            "qweight": ("I32", packed(codes.T, 4, AWQ_ORDER)),
            "qzeros": ("I32", packed(zeros.T, 4, AWQ_ORDER)),
            "scales": ("F16", scales.T),
        }
        return parts, values_of(codes, zeros, scales, np.arange(columns) // size)

    return write


def compressed(
    group: int | None = 32,
    bits: int = 4,
    symmetric: bool = True,
    index: str = "absent",
    scales: str = "F16",
) -> Writer:
    """pack-quantized: codes from -half to half - 1 are raised by half when they are packed."""

    def write(rows: int, columns: int, rng: np.random.Generator) -> tuple[Parts, F]:
        size, half = group or columns, 1 << (bits - 1)
        of = np.arange(columns) // size
        if index == "shuffled":
            of = of[rng.permutation(columns)]
        codes, zeros, found = drawn(rows, columns, columns // size, bits, rng)
        if symmetric:
            zeros[:] = half
        parts: Parts = {
            "weight_packed": ("I32", packed(codes, bits)),
            "weight_scale": ("F16", found),
            "weight_shape": ("I64", np.array([rows, columns])),
        }
        if scales == "BF16":  # cut, so that these are the scales
            cut = found.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
            found = cut.view(np.float32).astype(np.float16)
            parts["weight_scale"] = ("BF16", (cut >> 16).astype(np.uint16))
        if not symmetric:
            parts["weight_zero_point"] = ("I32", packed(zeros.T, bits).T)
        if index != "absent":
            written = of if index == "shuffled" else np.full(columns, -1)
            parts["weight_g_idx"] = ("I32", written.astype(np.int32))
        return parts, values_of(codes, zeros, found, of)

    return write


def int8(group: int | None = None, symmetric: bool = True, whole: bool = False) -> Writer:
    """int-quantized: signed codes as they are. whole: one scale for the matrix."""

    def write(rows: int, columns: int, rng: np.random.Generator) -> tuple[Parts, F]:
        size = group or columns
        codes, zeros, scales = drawn(rows, columns, columns // size, 8, rng)
        zeros[:] = 128 if symmetric else zeros
        if whole:
            scales[:] = scales[0, 0]
        parts: Parts = {
            "weight": ("I8", (codes - 128).astype(np.int8)),
            "weight_scale": ("F16", scales[0] if whole else scales),
        }
        if not symmetric:
            parts["weight_zero_point"] = ("I8", (zeros - 128).astype(np.int8))
        parts["input_scale"] = ("F16", np.ones(1, np.float16))
        return parts, values_of(codes, zeros, scales, np.arange(columns) // size)

    return write


def float8_value(code: int) -> float:
    """E4M3: seven is the exponent's bias, and without exponent there is no leading one."""
    sign, exponent, mantissa = -1 if code & 128 else 1, code >> 3 & 15, code & 7
    if exponent == 0:
        return sign * mantissa / 8 * 2.0**-6
    return sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7)


def float8(
    block: tuple[int, int] | None,
    name: str = "weight_scale_inv",
    shape: tuple[int, ...] | None = None,
) -> Writer:
    """block: rows and columns that share a scale, None for all; shape: the scales', if it is another."""

    def write(rows: int, columns: int, rng: np.random.Generator) -> tuple[Parts, F]:
        high, wide = block or (rows, columns)
        high, wide = min(high, rows), min(wide, columns)
        codes = rng.integers(0, 120, (rows, columns)) + 128 * rng.integers(0, 2, (rows, columns))
        codes[0, :2] = 1, 126  # no exponent; the largest number, 448
        size = -(-rows // high), -(-columns // wide)
        scales = (rng.uniform(0.5, 1.5, size) / (64 * np.sqrt(columns))).astype(np.float32)
        spread = scales[np.arange(rows) // high][:, np.arange(columns) // wide]
        values = np.array(
            [[float8_value(int(code)) for code in line] for line in codes], np.float32
        )
        parts: Parts = {
            "weight": ("F8_E4M3", codes.astype(np.uint8)),
            name: ("F32", scales if shape is None else scales.reshape(shape)),
            "input_scale": ("F32", np.ones((), np.float32)),
        }
        return parts, values * spread

    return write


def write_quantized(
    folder: Path, config: Config, write: Writer, more: Parts | None = None
) -> dict[str, F]:
    """A folder whose layers' matrices are written by `write`, all else in float16; the values of all."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, tensors = np.random.default_rng(5), random_tensors(shapes(config))
    parts: Parts = dict(more or {})
    for name, values in tensors.items():
        if values.ndim == 1 or ".layers." not in name or name.endswith(".mlp.gate.weight"):
            parts[name] = ("F16", values.astype(np.float16))
            continue
        module = name.removesuffix(".weight")
        rows, columns = values.shape
        found, tensors[name] = write(rows, columns, rng)
        parts |= {f"{module}.{part}": value for part, value in found.items()}
    write_parts(folder / "model.safetensors", parts)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return tensors


def write_parts(path: Path, parts: Mapping[str, Part]) -> None:
    header: Config = {}
    content = b""
    for name, (kind, values) in parts.items():
        raw = np.ascontiguousarray(values).tobytes()
        offsets = [len(content), len(content) + len(raw)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        content += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
