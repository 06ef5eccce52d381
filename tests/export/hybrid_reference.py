"""Models with recurrent layers in NumPy float32, token after token, from the models' own definitions.

Shares neither code nor key names nor row orders with the exporter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tests.export.reference import Block, Reference, plain_frequencies

F = NDArray[Any]
Config = Mapping[str, Any]
Tensors = Mapping[str, F]


def logits(config: Config, tensors: Tensors, ids: Sequence[int]) -> F:
    """[tokens, vocab] for one sequence that starts at position 0."""
    c = config.get("text_config", config)
    tensors = {name: values.astype(np.float64) for name, values in tensors.items()}
    inner = "model.language_model." if "text_config" in config else "model."
    if c["model_type"] == "granitemoehybrid":
        return _granite(c, tensors, ids)
    return _qwen3_5(c, tensors, inner, ids)


def _sigmoid(x: F) -> F:
    y: F = 1 / (1 + np.exp(-x))
    return y


def _silu(x: F) -> F:
    return x * _sigmoid(x)


def _norm(x: F, weight: F, eps: float) -> F:
    y: F = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight
    return y


def _convolved(x: F, kernel: F) -> F:
    """Of [tokens, channels] with [channels, 1, width]: each output sees its own input last."""
    width = kernel.shape[-1]
    padded = np.concatenate([np.zeros((width - 1, x.shape[1])), x])
    return np.stack([(padded[i : i + width] * kernel[:, 0].T).sum(0) for i in range(len(x))])


def _qwen3_5(c: Config, t: Tensors, inner: str, ids: Sequence[int]) -> F:
    eps, d = c["rms_norm_eps"], c["head_dim"]
    rope = c["rope_parameters"]
    frequencies = plain_frequencies(rope["rope_theta"], int(d * rope["partial_rotary_factor"]))
    embedding = t[f"{inner}embed_tokens.weight"]
    attention = Reference(
        embedding, embedding, embedding[0], c["num_attention_heads"], c["num_key_value_heads"], d,
        eps, frequencies, interleaved=False, weighs_from=1.0,
    )  # fmt: skip
    turns = np.exp(1j * np.outer(np.arange(len(ids)), frequencies))
    x = embedding[np.asarray(ids)]
    for layer in range(c["num_hidden_layers"]):
        p = f"{inner}layers.{layer}."
        h = _norm(x, 1 + t[p + "input_layernorm.weight"], eps)
        if p + "linear_attn.A_log" in t:
            x = x + _delta_net(c, t, p + "linear_attn.", h)
        else:
            x = x + _gated_attention(attention, t, p + "self_attn.", h, turns)
        h = _norm(x, 1 + t[p + "post_attention_layernorm.weight"], eps)
        has_experts = p + "mlp.gate.weight" in t
        x = x + (_mixture(c, t, p + "mlp.", h) if has_experts else _mlp(t, p + "mlp.", h))
    head = t.get("lm_head.weight", embedding)
    said: F = _norm(x, 1 + t[f"{inner}norm.weight"], eps) @ head.T
    return said


def _mlp(t: Tensors, p: str, h: F) -> F:
    gated: F = _silu(h @ t[p + "gate_proj.weight"].T) * (h @ t[p + "up_proj.weight"].T)
    return gated @ t[p + "down_proj.weight"].T


def _mixture(c: Config, t: Tensors, p: str, h: F) -> F:
    """The best experts of each token, weighed by what they have of their common share."""
    out = _sigmoid(h @ t[p + "shared_expert_gate.weight"].T) * _mlp(t, p + "shared_expert.", h)
    for i, scores in enumerate(h @ t[p + "gate.weight"].T):
        chosen = np.argsort(scores)[::-1][: c["num_experts_per_tok"]]
        shares = np.exp(scores[chosen]) / np.exp(scores[chosen]).sum()
        for expert, share in zip(chosen, shares, strict=True):
            out[i] += share * _mlp(t, f"{p}experts.{expert}.", h[i : i + 1])[0]
    return out


def _of_key_heads(c: Config, t: Tensors, p: str) -> Tensors:
    """Qwen3-Next's two matrices as Qwen3.5's four."""
    keys, served = (
        c["linear_num_key_heads"],
        c["linear_num_value_heads"] // c["linear_num_key_heads"],
    )
    d, wide = c["linear_key_head_dim"], served * c["linear_value_head_dim"]
    q, k, v, z = (list[F]() for _ in range(4))
    b, a = list[F](), list[F]()
    for head in range(keys):
        rows = np.split(t[p + "in_proj_qkvz.weight"], keys)[head]
        for part, taken in zip((q, k, v, z), np.split(rows, [d, 2 * d, 2 * d + wide]), strict=True):
            part.append(taken)
        beta, step = np.split(np.split(t[p + "in_proj_ba.weight"], keys)[head], 2)
        b.append(beta)
        a.append(step)
    found = {"qkv": [*q, *k, *v], "z": z, "b": b, "a": a}
    return {**t, **{f"{p}in_proj_{n}.weight": np.concatenate(parts) for n, parts in found.items()}}


def _gated_attention(model: Reference, t: Tensors, p: str, h: F, turns: Any) -> F:
    both = (h @ t[p + "q_proj.weight"].T).reshape(len(h), model.heads, 2, model.head_dim)
    rows = t[p + "q_proj.weight"].reshape(model.heads, 2, model.head_dim, -1)[:, 0]
    width = model.heads * model.head_dim
    block = Block(
        rows.reshape(width, -1), t[p + "k_proj.weight"], t[p + "v_proj.weight"],
        cast("Any", np.eye(width)), h, h, h, None, None,
        q_norm=t[p + "q_norm.weight"], k_norm=t[p + "k_norm.weight"],
    )  # fmt: skip
    mixed = model._attend(block, h, turns)
    gated: F = mixed * _sigmoid(both[:, :, 1].reshape(len(h), width))
    return gated @ t[p + "o_proj.weight"].T


def _delta_net(c: Config, t: Tensors, p: str, h: F) -> F:
    if p + "in_proj_qkvz.weight" in t:
        t = _of_key_heads(c, t, p)
    n, key_heads, heads = len(h), c["linear_num_key_heads"], c["linear_num_value_heads"]
    wide_key, wide_value = c["linear_key_head_dim"], c["linear_value_head_dim"]
    keys = key_heads * wide_key
    mixed = _silu(_convolved(h @ t[p + "in_proj_qkv.weight"].T, t[p + "conv1d.weight"]))
    q = mixed[:, :keys].reshape(n, key_heads, wide_key)
    k = mixed[:, keys : 2 * keys].reshape(n, key_heads, wide_key)
    v = mixed[:, 2 * keys :].reshape(n, heads, wide_value)
    q, k = (part / np.sqrt((part**2).sum(-1, keepdims=True) + 1e-6) for part in (q, k))
    beta = _sigmoid(h @ t[p + "in_proj_b.weight"].T)
    time = np.log1p(np.exp(h @ t[p + "in_proj_a.weight"].T + t[p + "dt_bias"]))
    kept = np.exp(-np.exp(t[p + "A_log"]) * time)
    out = np.empty((n, heads, wide_value))
    for head in range(heads):
        state = np.zeros((wide_key, wide_value))
        group = head // (heads // key_heads)
        for i in range(n):
            state = state * kept[i, head]
            error = beta[i, head] * (v[i, head] - k[i, group] @ state)
            state = state + np.outer(k[i, group], error)
            out[i, head] = q[i, group] @ state / np.sqrt(wide_key)
    z = (h @ t[p + "in_proj_z.weight"].T).reshape(out.shape)
    gated = _norm(out, t[p + "norm.weight"], c["rms_norm_eps"]) * _silu(z)
    mixed_out: F = gated.reshape(n, -1) @ t[p + "out_proj.weight"].T
    return mixed_out


def _granite(c: Config, t: Tensors, ids: Sequence[int]) -> F:
    eps, heads = c["rms_norm_eps"], c["num_attention_heads"]
    embedding = t["model.embed_tokens.weight"]
    d = c["hidden_size"] // heads
    attention = Reference(
        embedding, embedding, embedding[0], heads, c["num_key_value_heads"], d, eps,
        plain_frequencies(c["rope_theta"], d), interleaved=False, scored_by=c["attention_multiplier"],
    )  # fmt: skip
    turns = np.exp(1j * np.outer(np.arange(len(ids)), attention.frequencies))
    x = embedding[np.asarray(ids)] * c["embedding_multiplier"]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = _norm(x, t[p + "input_layernorm.weight"], eps)
        if p + "mamba.A_log" in t:
            mixed = _mamba(c, t, p + "mamba.", h)
        else:
            q, k, v, o = (t[f"{p}self_attn.{which}_proj.weight"] for which in "qkvo")
            block = Block(q, k, v, o, h, h, h, None, None)
            block.rotates = c["position_embedding_type"] == "rope"
            mixed = attention._attend(block, h, turns)
        x = x + mixed * c["residual_multiplier"]
        h = _norm(x, t[p + "post_attention_layernorm.weight"], eps)
        gate, up = np.split(h @ t[p + "shared_mlp.input_linear.weight"].T, 2, axis=1)
        fed = (_silu(gate) * up) @ t[p + "shared_mlp.output_linear.weight"].T
        x = x + fed * c["residual_multiplier"]
    head = t.get("lm_head.weight", embedding)
    said: F = _norm(x, t["model.norm.weight"], eps) @ head.T / c["logits_scaling"]
    return said


def _mamba(c: Config, t: Tensors, p: str, h: F) -> F:
    n, heads, groups, width = len(h), c["mamba_n_heads"], c["mamba_n_groups"], c["mamba_d_state"]
    inner = c["mamba_expand"] * c["hidden_size"]
    d = inner // heads
    channels = inner + 2 * groups * width
    projected = h @ t[p + "in_proj.weight"].T + t.get(p + "in_proj.bias", 0.0)
    gate, mixed, raw = np.split(projected, [inner, inner + channels], axis=1)
    mixed = _silu(_convolved(mixed, t[p + "conv1d.weight"]) + t.get(p + "conv1d.bias", 0.0))
    x, b, c_ = np.split(mixed, [inner, inner + groups * width], axis=1)
    x, b, c_ = x.reshape(n, heads, d), b.reshape(n, groups, width), c_.reshape(n, groups, width)
    step = np.log1p(np.exp(raw + t[p + "dt_bias"]))
    step = np.maximum(step, c.get("time_step_limit", [0.0])[0])
    rate = -np.exp(t[p + "A_log"])
    out = np.empty((n, heads, d))
    for head in range(heads):
        state, group = np.zeros((d, width)), head // (heads // groups)
        for i in range(n):
            state = state * np.exp(rate[head] * step[i, head])
            state = state + step[i, head] * np.outer(x[i, head], b[i, group])
            out[i, head] = state @ c_[i, group] + t[p + "D"][head] * x[i, head]
    gated = (out.reshape(n, inner) * _silu(gate)).reshape(n, groups, -1)
    normed = _norm(gated, np.ones(inner // groups), c["rms_norm_eps"]).reshape(n, inner)
    said: F = (normed * t[p + "norm.weight"]) @ t[p + "out_proj.weight"].T
    return said + t.get(p + "out_proj.bias", 0.0)
