"""Rotary frequencies: the angle per position of each rotated pair, with its scaling.

Scaling methods that are not modelled are refused by name. The formula of "llama3" is that of
Llama 3.1's reference code (wavelengths beyond the old context are stretched by `factor`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError

Angles = NDArray[np.float64]


def inverse_frequencies(
    theta: float, rotary_dim: int, scaling: Mapping[str, Any] | None
) -> tuple[float, ...]:
    """Radians per position, rotary_dim / 2 of them; raises ExportError for unknown scaling."""
    plain = theta ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
    return tuple(_scaled(plain, scaling or {}).tolist())


def _scaled(plain: Angles, scaling: Mapping[str, Any]) -> Angles:
    method = scaling.get("rope_type", scaling.get("type", "default"))
    if method in ("default", "none"):
        return plain
    if method == "linear":
        return plain / _number(scaling, "factor")
    if method == "llama3":
        return _llama3(plain, scaling)
    raise ExportError(
        f"The model asks for RoPE scaling {method!r}, which is not supported "
        "(supported: none, linear, llama3)."
    )


def _llama3(plain: Angles, scaling: Mapping[str, Any]) -> Angles:
    factor, old_context = (
        _number(scaling, "factor"),
        _number(scaling, "original_max_position_embeddings"),
    )
    low, high = _number(scaling, "low_freq_factor"), _number(scaling, "high_freq_factor")
    turns = old_context * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 - smooth) * plain / factor + smooth * plain


def _number(scaling: Mapping[str, Any], key: str) -> float:
    value = scaling.get(key)
    if not isinstance(value, int | float) or value <= 0:
        raise ExportError(f"config.json's RoPE scaling lacks a positive {key!r}.")
    return float(value)
