"""Rotary embeddings: the angle per position of each rotated pair, with its scaling.

Scaling methods that are not modelled are refused by name. The formula of "llama3" is that of
Llama 3.1's reference code (wavelengths beyond the old context are stretched by `factor`), "yarn" that of
its paper (arXiv 2309.00071). "longrope" has its short factors, which are right up to the original context,
where such a model ends here; "dynamic" changes nothing within the context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError

Angles = NDArray[np.float64]
ORIGINAL = "original_max_position_embeddings"
LONGROPE = ("longrope", "su")


def method_of(scaling: Mapping[str, Any]) -> str:
    """The name of the scaling; `default` for none."""
    return str(scaling.get("rope_type", scaling.get("type", "default")))


def inverse_frequencies(
    theta: float, rotary_dim: int, scaling: Mapping[str, Any] | None
) -> tuple[float, ...]:
    """Radians per position, rotary_dim / 2 of them; raises ExportError for unknown scaling."""
    if scaling and (alpha := scaling.get("alpha")) and method_of(scaling) == "dynamic":
        theta *= alpha ** (rotary_dim / (rotary_dim - 2))  # HunYuan's, at any length
    plain = theta ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
    return tuple(_scaled(plain, scaling or {}).tolist())


def attention_factor(scaling: Mapping[str, Any]) -> float:
    """What cosines and sines are multiplied by: one, but for yarn and longrope.

    longrope wants `factor`: the whole context in parts of the original one.
    """
    method = method_of(scaling)
    if method != "yarn" and method not in LONGROPE:
        return 1.0
    if (given := scaling.get("attention_factor")) is not None:
        return float(given)
    factor = _number(scaling, "factor")
    if method == "yarn":
        return _magnitude(factor, scaling.get("mscale"), scaling.get("mscale_all_dim"))
    return (
        math.sqrt(1 + math.log(factor) / math.log(_number(scaling, ORIGINAL)))
        if factor > 1
        else 1.0
    )


def _magnitude(factor: float, mscale: float | None, mscale_all_dim: float | None) -> float:
    def grown(by: float) -> float:
        return 0.1 * by * math.log(factor) + 1 if factor > 1 else 1.0

    return grown(mscale) / grown(mscale_all_dim) if mscale and mscale_all_dim else grown(1.0)


def _scaled(plain: Angles, scaling: Mapping[str, Any]) -> Angles:
    method = method_of(scaling)
    if method in ("default", "none", "dynamic"):
        return plain
    if method == "linear":
        return plain / _number(scaling, "factor")
    if method == "llama3":
        return _llama3(plain, scaling)
    if method == "yarn":
        return _yarn(plain, scaling)
    if method in LONGROPE:
        return plain / _factors(scaling, "short_factor", len(plain))
    raise ExportError(
        f"The model asks for RoPE scaling {method!r}, which is not supported "
        "(supported: none, linear, dynamic, llama3, yarn, longrope)."
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


def _yarn(plain: Angles, scaling: Mapping[str, Any]) -> Angles:
    """Pairs that turn seldom within the original context are stretched, those that turn often are not."""
    # With i pairs of d dimensions theta^(-2i/d) turns `turns` times within the context at this i:
    rotary_dim, step = 2 * len(plain), math.log(plain[0] / plain[1])
    low, high = (
        math.log(_number(scaling, ORIGINAL) / (2 * math.pi * (scaling.get(key) or turns))) / step
        for key, turns in (("beta_fast", 32), ("beta_slow", 1))
    )
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rotary_dim - 1)
    ramp = (np.arange(len(plain)) - low) / (high - low if high != low else 0.001)
    stretched: Angles = np.clip(ramp, 0, 1)
    return plain * (1 - stretched) + plain / _number(scaling, "factor") * stretched


def _factors(scaling: Mapping[str, Any], key: str, count: int) -> Angles:
    values = scaling.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise ExportError(f"config.json's RoPE scaling has no {count} numbers as {key!r}.")
    return np.array(values, np.float64)


def _number(scaling: Mapping[str, Any], key: str) -> float:
    value = scaling.get(key)
    if not isinstance(value, int | float) or value <= 0:
        raise ExportError(f"config.json's RoPE scaling lacks a positive {key!r}.")
    return float(value)
