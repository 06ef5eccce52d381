"""LFM2 in NumPy, from its definition: layers that attend, and layers that convolve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.export.reference import Block, F, Reference, plain_frequencies


@dataclass
class Convolution(Block):
    """A layer whose wq makes three things of each token: before, behind, value; wo ends it.

    taps: [channels, 1, kernel], that of the newest token last.
    """

    taps: F | None = None
    b_taps: F | float = 0.0


class Lfm2(Reference):
    """Layers of both kinds."""

    def _attend(self, b: Block, h: F, turns: NDArray[np.complex128]) -> F:
        if not isinstance(b, Convolution):
            return super()._attend(b, h, turns)
        assert b.taps is not None
        before, behind, value = np.split(h @ b.wq.T + b.bq, 3, axis=-1)
        fed = before * value
        mixed = np.zeros_like(fed)
        kernel = b.taps.shape[-1]
        for token in range(len(fed)):
            for back in range(min(kernel, token + 1)):
                mixed[token] += fed[token - back] * b.taps[:, 0, kernel - 1 - back]
        out: F = (behind * (mixed + b.b_taps)) @ b.wo.T + b.bo
        return out


def from_lfm2(c: Mapping[str, Any], t: Mapping[str, F]) -> Lfm2:
    """In the layout of Hugging Face."""
    heads, d = c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
    embedding = t["model.embed_tokens.weight"]
    model = Lfm2(
        embedding,
        t.get("lm_head.weight", embedding),
        t["model.embedding_norm.weight"],
        heads,
        c["num_key_value_heads"],
        d,
        c["norm_eps"],
        plain_frequencies(c.get("rope_theta", 1e6), d),
        interleaved=False,
    )
    for i in range(c["num_hidden_layers"]):
        model.blocks.append(_block(c, t, f"model.layers.{i}."))
    return model


def _block(c: Mapping[str, Any], t: Mapping[str, F], p: str) -> Block:
    gate, down, up = (t[f"{p}feed_forward.w{n}.weight"] for n in (1, 2, 3))
    norms = (t[p + "operator_norm.weight"], t[p + "ffn_norm.weight"])
    if (taps := t.get(p + "conv.conv.weight")) is not None:
        both, out = t[p + "conv.in_proj.weight"], t[p + "conv.out_proj.weight"]
        return Convolution(
            *(both, both, both, out, gate, up, down, *norms),
            bq=t.get(p + "conv.in_proj.bias", 0.0),
            bo=t.get(p + "conv.out_proj.bias", 0.0),
            taps=taps,
            b_taps=t.get(p + "conv.conv.bias", 0.0),
        )
    wq, wk, wv, wo = (t[f"{p}self_attn.{name}_proj.weight"] for name in ("q", "k", "v", "out"))
    return Block(
        *(wq, wk, wv, wo, gate, up, down, *norms),
        q_norm=t[p + "self_attn.q_layernorm.weight"],
        k_norm=t[p + "self_attn.k_layernorm.weight"],
    )
