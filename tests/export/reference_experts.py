"""Experts in NumPy float32, token by token, from the families' own tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]


@dataclass
class Mlp:
    gate: F
    up: F
    down: F

    def __call__(self, x: F) -> F:
        g = x @ self.gate.T
        out: F = (g / (1 + np.exp(-g)) * (x @ self.up.T)) @ self.down.T
        return out


@dataclass
class ClampedMlp:
    both: F  # [in, out]; gate and up take turns
    both_bias: F
    down: F
    down_bias: F
    limit: float

    def __call__(self, x: F) -> F:
        y = x @ self.both + self.both_bias
        g, u = np.minimum(y[0::2], self.limit), np.clip(y[1::2], -self.limit, self.limit)
        out: F = (u + 1) * (g / (1 + np.exp(-1.702 * g))) @ self.down + self.down_bias
        return out


@dataclass
class Mixture:
    router: F
    experts: Sequence[Mlp | ClampedMlp]
    per_token: int
    normalized: bool
    router_bias: F | float = 0.0
    shared: Mlp | None = None
    shared_gate: F | None = None

    def __call__(self, x: F) -> F:
        return np.stack([self._one(token) for token in x])

    def _one(self, token: F) -> F:
        scores = np.exp(self.router @ token + self.router_bias)
        scores = scores / scores.sum()
        best = np.argsort(scores)[::-1][: self.per_token]
        out = np.zeros_like(token)
        whole = scores[best].sum() if self.normalized else np.float32(1)
        for expert in best:
            out += scores[expert] / whole * self.experts[expert](token)
        if self.shared is not None and self.shared_gate is not None:
            out += self.shared(token) / (1 + np.exp(-(self.shared_gate @ token)))
        return out


def mixture(c: Mapping[str, Any], t: Mapping[str, F], p: str) -> Mixture | None:
    """Of the layer whose names begin with `p`; None where it has one MLP."""
    if c["model_type"] == "granitemoe":
        b = p + "block_sparse_moe."
        both, down = t[b + "input_linear.weight"], t[b + "output_linear.weight"]
        half = both.shape[1] // 2
        experts = [Mlp(m[:half], m[half:], d) for m, d in zip(both, down, strict=True)]
        return Mixture(t[b + "router.layer.weight"], experts, c["num_experts_per_tok"], True)
    if c["model_type"] == "mixtral":
        b = p + "block_sparse_moe."
        experts = [
            Mlp(*(t[f"{b}experts.{i}.{w}.weight"] for w in ("w1", "w3", "w2")))
            for i in range(c["num_local_experts"])
        ]
        return Mixture(t[b + "gate.weight"], experts, c["num_experts_per_tok"], True)
    m = p + "mlp."
    if c["model_type"] == "gpt_oss":
        both, both_bias = (t[f"{m}experts.gate_up_proj{kind}"] for kind in ("", "_bias"))
        down, down_bias = (t[f"{m}experts.down_proj{kind}"] for kind in ("", "_bias"))
        clamped = [
            ClampedMlp(both[i], both_bias[i], down[i], down_bias[i], c["swiglu_limit"])
            for i in range(c["num_local_experts"])
        ]
        return Mixture(
            t[m + "router.weight"],
            clamped,
            c["num_experts_per_tok"],
            normalized=True,
            router_bias=t[m + "router.bias"],
        )
    if m + "gate.weight" not in t:
        return None

    def mlp(name: str) -> Mlp:
        return Mlp(*(t[f"{m}{name}.{kind}_proj.weight"] for kind in ("gate", "up", "down")))

    found = Mixture(
        t[m + "gate.weight"],
        [mlp(f"experts.{i}") for i in range(c["num_experts"])],
        c["num_experts_per_tok"],
        c["norm_topk_prob"],
    )
    if m + "shared_expert_gate.weight" in t:
        found.shared, found.shared_gate = (
            mlp("shared_expert"),
            t[m + "shared_expert_gate.weight"][0],
        )
    return found


def gguf_mixture(t: Mapping[str, F], p: str, architecture: str, per_token: int) -> Mixture | None:
    """Of the layer whose names begin with `p`, as llama.cpp reads it; None where it has one MLP."""
    if p + "ffn_gate_inp.weight" not in t:
        return None
    gate, up, down = (t[f"{p}ffn_{kind}_exps.weight"] for kind in ("gate", "up", "down"))
    router = t[p + "ffn_gate_inp.weight"]
    if architecture == "gpt-oss":
        b = {kind: t[f"{p}ffn_{kind}_exps.bias"] for kind in ("gate", "up", "down")}
        clamped = []
        for i in range(len(router)):
            both = np.stack([gate[i], up[i]], axis=1).reshape(-1, gate.shape[2])
            bias = np.stack([b["gate"][i], b["up"][i]], axis=1).reshape(-1)
            clamped.append(ClampedMlp(both.T, bias, down[i].T, b["down"][i], 7.0))
        return Mixture(router, clamped, per_token, True, t[p + "ffn_gate_inp.bias"])
    experts = [Mlp(*parts) for parts in zip(gate, up, down, strict=True)]
    found = Mixture(router, experts, per_token, architecture != "qwen2moe")
    if p + "ffn_gate_shexp.weight" in t:
        parts = [t[f"{p}ffn_{kind}_shexp.weight"] for kind in ("gate", "up", "down")]
        found.shared, found.shared_gate = Mlp(*parts), t[p + "ffn_gate_inp_shexp.weight"]
    return found
