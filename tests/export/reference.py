"""A decoder in NumPy float32, written from the models' own definitions.

Reads each family's own layout (Hugging Face, ChatGLM, GGUF) and rotates in that layout, with
complex numbers, so that it shares neither code nor key names nor row orders with the exporter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.export.reference_experts import Mixture, gguf_mixture, mixture

F = NDArray[np.float32]


@dataclass
class Block:
    wq: F
    wk: F
    wv: F
    wo: F
    gate: F
    up: F
    down: F
    norm_1: F | None
    norm_2: F | None
    bq: F | float = 0.0
    bk: F | float = 0.0
    bv: F | float = 0.0
    bo: F | float = 0.0
    q_norm: F | None = None
    k_norm: F | None = None
    late: bool = False  # those two, behind rotation
    after_attention: F | None = None
    after_mlp: F | None = None
    b_gate: F | float = 0.0
    b_up: F | float = 0.0
    b_down: F | float = 0.0
    rotates: bool = True
    looks_back: int | None = None  # at so many tokens, the own one included
    frequencies: NDArray[np.float64] | None = None  # where they are not the model's
    mixture: Mixture | None = None  # in the place of gate, up and down
    sinks: F | None = None  # a score of each head that no key has


@dataclass
class Reference:
    embedding: F
    head: F
    last_norm: F
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    frequencies: NDArray[np.float64]
    interleaved: bool
    blocks: list[Block] = field(default_factory=list)
    turned_by: float = 1.0  # beside turning
    embedded_by: float = 1.0
    added_by: float = 1.0
    scored_by: float | None = None
    said_by: float = 1.0
    weighs_from: float = 0.0  # norms
    gelu: bool = False
    bent_at: float | None = None  # logits
    grown: tuple[float, int] | None = None  # scores, with the logarithm of so many positions

    def logits(self, ids: Sequence[int]) -> F:
        """[tokens, vocab] for one sequence that starts at position 0."""
        x = self.embedding[np.asarray(ids)].astype(np.float32) * np.float32(self.embedded_by)
        turns = np.exp(1j * np.outer(np.arange(len(ids)), self.frequencies)) * self.turned_by
        for block in self.blocks:
            turned = turns
            if block.frequencies is not None:
                turned = np.exp(1j * np.outer(np.arange(len(ids)), block.frequencies))
            mixed = self._attend(block, self._maybe_norm(x, block.norm_1), turned)
            x = x + self._maybe_norm(mixed, block.after_attention) * np.float32(self.added_by)
            fed = self._fed(block, self._maybe_norm(x, block.norm_2))
            x = x + self._maybe_norm(fed, block.after_mlp) * np.float32(self.added_by)
        out: F = self._norm(x, self.last_norm) @ self.head.T * np.float32(self.said_by)
        return out if self.bent_at is None else np.tanh(out / self.bent_at) * self.bent_at

    def _fed(self, block: Block, h: F) -> F:
        if block.mixture is not None:
            return block.mixture(h)
        if not block.gate.size:
            square: F = np.maximum(h @ block.up.T, 0) ** 2 @ block.down.T
            return square
        g = h @ block.gate.T + block.b_gate
        return (self._gate(g) * (h @ block.up.T + block.b_up)) @ block.down.T + block.b_down

    def _gate(self, g: F) -> F:
        if not self.gelu:
            swish: F = g / (1 + np.exp(-g))
            return swish
        gelu: F = g / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g**3)))
        return gelu

    def _attend(self, b: Block, h: F, turns: NDArray[np.complex128]) -> F:
        n, d = len(h), self.head_dim
        q = self._heads(h @ b.wq.T + b.bq, None if b.late else b.q_norm)
        k = self._heads(h @ b.wk.T + b.bk, None if b.late else b.k_norm)
        v = (h @ b.wv.T + b.bv).reshape(n, self.kv_heads, d)
        if b.rotates:
            q, k = self._turn(q, turns), self._turn(k, turns)
        if self.grown is not None:
            passed = np.floor(np.arange(n) / self.grown[1])
            q = q * (1 + self.grown[0] * np.log(1 + passed))[:, None, None].astype(np.float32)
        if b.late:
            q, k = self._maybe_norm(q, b.q_norm), self._maybe_norm(k, b.k_norm)
        per_group = self.heads // self.kv_heads
        future = np.triu(np.ones((n, n), bool), 1)
        if b.looks_back is not None:
            future |= np.tril(np.ones((n, n), bool), -b.looks_back)
        out = np.empty((n, self.heads, d), np.float32)
        for head in range(self.heads):
            group = head // per_group
            scores = q[:, head] @ k[:, group].T * (self.scored_by or 1 / math.sqrt(d))
            scores[future] = -np.inf
            if b.sinks is not None:
                scores = np.concatenate([scores, np.full((n, 1), b.sinks[head])], axis=1)
            weights = np.exp(scores - scores.max(1, keepdims=True))
            weights = weights / weights.sum(1, keepdims=True)
            out[:, head] = weights[:, :n] @ v[:, group]
        mixed: F = out.reshape(n, -1) @ b.wo.T + b.bo
        return mixed

    def _heads(self, x: F, norm: F | None) -> F:
        """[tokens, heads, head_dim]; a norm as long as a head is each head's own, else that of the whole row."""
        if norm is not None and len(norm) != self.head_dim:
            x = self._norm(x, norm)
        x = x.reshape(len(x), -1, self.head_dim)
        return self._norm(x, norm) if norm is not None and len(norm) == self.head_dim else x

    def _turn(self, x: F, turns: NDArray[np.complex128]) -> F:
        pairs = len(self.frequencies)
        y = x.copy()
        if self.interleaved:
            first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        else:
            first, second = slice(0, pairs), slice(pairs, 2 * pairs)
        turned = (x[..., first] + 1j * x[..., second]) * turns[:, None, :]
        y[..., first], y[..., second] = turned.real, turned.imag
        return y

    def _norm(self, x: F, weight: F) -> F:
        mean = np.mean(x * x, -1, keepdims=True, dtype=np.float32)
        return (x / np.sqrt(mean + np.float32(self.eps)) * (self.weighs_from + weight)).astype(
            np.float32
        )

    def _maybe_norm(self, x: F, weight: F | None) -> F:
        return x if weight is None else self._norm(x, weight)


def plain_frequencies(theta: float, rotated: int) -> NDArray[np.float64]:
    return np.array([theta ** (-2 * i / rotated) for i in range(rotated // 2)])


def llama3_frequencies(plain: NDArray[np.float64], s: Mapping[str, Any]) -> NDArray[np.float64]:
    """Llama 3.1's apply_scaling, frequency by frequency."""
    old = s["original_max_position_embeddings"]
    long_wave, short_wave = old / s["low_freq_factor"], old / s["high_freq_factor"]
    scaled = []
    for frequency in plain:
        wave = 2 * math.pi / frequency
        if wave < short_wave:
            scaled.append(frequency)
        elif wave > long_wave:
            scaled.append(frequency / s["factor"])
        else:
            smooth = (old / wave - s["low_freq_factor"]) / (
                s["high_freq_factor"] - s["low_freq_factor"]
            )
            scaled.append((1 - smooth) * frequency / s["factor"] + smooth * frequency)
    return np.array(scaled)


def yarn_frequencies(
    plain: NDArray[np.float64], s: Mapping[str, Any], theta: float
) -> NDArray[np.float64]:
    """YaRN's paper, pair by pair: by how often each turns within the original context."""
    d = 2 * len(plain)

    def pair_that_turns(times: float) -> float:
        return (
            d
            * math.log(s["original_max_position_embeddings"] / (times * 2 * math.pi))
            / (2 * math.log(theta))
        )

    first, last = pair_that_turns(s.get("beta_fast", 32)), pair_that_turns(s.get("beta_slow", 1))
    if s.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, d - 1)
    scaled = []
    for i, frequency in enumerate(plain):
        kept = 1 - min(max((i - first) / (last - first), 0), 1)
        scaled.append(frequency * kept + frequency / s["factor"] * (1 - kept))
    return np.array(scaled)


def yarn_magnitude(s: Mapping[str, float]) -> float:
    grown = math.log(s["factor"]) / 10
    if "mscale" in s:
        return (1 + s["mscale"] * grown) / (1 + s["mscale_all_dim"] * grown)
    return 1 + grown


def from_hugging_face(c: Mapping[str, Any], t: Mapping[str, F]) -> Reference:
    """Everything but chatglm."""
    if c["model_type"] == "internlm2":
        t = _in_llamas_names(c, t)
    glm = c["model_type"] in ("glm", "glm4")
    d = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    gemma, minicpm = c["model_type"].startswith("gemma"), c["model_type"] == "minicpm"
    rope = c.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    theta = rope.get("rope_theta", c.get("rope_theta", 10000.0))
    if alpha := (c.get("rope_scaling") or {}).get("alpha"):
        theta = theta * alpha ** (d / (d - 2))
    rotated = int(d * c.get("partial_rotary_factor", 0.5 if glm else 1.0))
    frequencies = plain_frequencies(theta, rotated)
    scaling = c.get("rope_scaling") or rope
    if scaling.get("rope_type") == "llama3":
        frequencies = llama3_frequencies(frequencies, scaling)
    if scaling.get("rope_type") == "linear":
        frequencies = frequencies / scaling["factor"]
    turned_by = 1.0
    if scaling.get("rope_type") == "yarn":
        frequencies = yarn_frequencies(frequencies, scaling, theta)
        turned_by = scaling.get("attention_factor", yarn_magnitude(scaling))
    if scaling.get("type") == "longrope":
        frequencies = frequencies / np.array(scaling["short_factor"])
        old = c["original_max_position_embeddings"]
        turned_by = math.sqrt(1 + math.log(c["max_position_embeddings"] / old) / math.log(old))
    embedding = t["model.embed_tokens.weight"]
    tied = c.get("tie_word_embeddings", False)
    model = Reference(
        embedding,
        embedding if tied else t["lm_head.weight"],
        t["model.norm.weight"],
        c["num_attention_heads"],
        c["num_key_value_heads"],
        d,
        c["rms_norm_eps"],
        frequencies,
        interleaved=glm or c["model_type"] == "ernie4_5",
        turned_by=turned_by,
        embedded_by=c.get("embedding_multiplier", math.sqrt(c["hidden_size"]) if gemma else 1.0),
        added_by=c.get("residual_multiplier", 1.0),
        scored_by=c.get("query_pre_attn_scalar", d) ** -0.5
        if gemma
        else c.get("attention_multiplier"),
        said_by=1 / c.get("logits_scaling", 1.0),
        weighs_from=1.0 if gemma else 0.0,
        gelu=gemma,
        bent_at=c.get("final_logit_softcapping"),
    )
    if beta := scaling.get("llama_4_scaling_beta"):
        model.grown = beta, scaling["original_max_position_embeddings"]
    if minicpm:
        model.embedded_by = c["scale_emb"]
        model.added_by = c["scale_depth"] / math.sqrt(c["num_hidden_layers"])
        model.said_by = c["dim_model_base"] / c["hidden_size"]
    for i in range(c["num_hidden_layers"]):
        block = _hugging_face_block(_apart(c, t, f"model.layers.{i}."), f"model.layers.{i}.")
        block.late = c["model_type"] == "hunyuan_v1_dense"
        block.mixture = mixture(c, t, f"model.layers.{i}.")
        block.sinks = t.get(f"model.layers.{i}.self_attn.sinks")
        if _slides(c, i):
            block.looks_back = c["sliding_window"]
            if c["model_type"] == "gemma3_text":
                block.frequencies = plain_frequencies(_local_theta(c), d)
            if c["model_type"] == "olmo3":
                block.frequencies = plain_frequencies(theta, d)
        elif c["model_type"] == "exaone4" and c["sliding_window"]:
            block.rotates = False
        if c["model_type"] == "smollm3":
            interval = c.get("no_rope_layer_interval", 4)
            block.rotates = bool(
                c.get("no_rope_layers", [(j + 1) % interval for j in range(i + 1)])[i]
            )
        model.blocks.append(block)
    return model


def _in_llamas_names(c: Mapping[str, Any], t: Mapping[str, F]) -> dict[str, F]:
    """InternLM2's: the rows of wqkv stand group by group, each with its queries, its key and its value."""
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    d, each = c["hidden_size"] // heads, heads // groups
    found = {
        "model.embed_tokens.weight": t["model.tok_embeddings.weight"],
        "model.norm.weight": t["model.norm.weight"],
        "lm_head.weight": t["output.weight"],
    }
    for i in range(c["num_hidden_layers"]):
        p, a = f"model.layers.{i}.", f"model.layers.{i}.attention."
        for kind in ("weight", "bias"):
            rows = t[a + "wqkv." + kind]
            q, k, v = list[F](), list[F](), list[F]()
            for group in range(groups):
                first = group * (each + 2) * d
                q.append(rows[first : first + each * d])
                k.append(rows[first + each * d : first + (each + 1) * d])
                v.append(rows[first + (each + 1) * d : first + (each + 2) * d])
            for name, parts in zip("qkv", (q, k, v), strict=True):
                found[f"{p}self_attn.{name}_proj.{kind}"] = np.concatenate(parts)
            found[f"{p}self_attn.o_proj.{kind}"] = t[a + "wo." + kind]
        for ours, theirs in (("gate", "w1"), ("up", "w3"), ("down", "w2")):
            found[f"{p}mlp.{ours}_proj.weight"] = t[f"{p}feed_forward.{theirs}.weight"]
        found[p + "input_layernorm.weight"] = t[p + "attention_norm.weight"]
        found[p + "post_attention_layernorm.weight"] = t[p + "ffn_norm.weight"]
    return found


def _local_theta(c: Mapping[str, Any]) -> float:
    if "rope_local_base_freq" in c:
        return float(c["rope_local_base_freq"])
    return float(c["rope_parameters"]["sliding_attention"]["rope_theta"])


def _slides(c: Mapping[str, Any], layer: int) -> bool:
    if not c.get("sliding_window") or not c.get("use_sliding_window", True):
        return False
    if c["model_type"] == "llama":
        return False
    if "layer_types" in c:
        return bool(c["layer_types"][layer] == "sliding_attention")
    if c["model_type"] == "gemma2":
        return layer % 2 == 0
    if pattern := c.get("sliding_window_pattern"):
        if isinstance(pattern, str):
            return bool(pattern[layer % len(pattern)] == "L")
        return bool((layer + 1) % pattern)
    return bool(layer >= c.get("max_window_layers", 0))


def _apart(c: Mapping[str, Any], t: Mapping[str, F], p: str) -> Mapping[str, F]:
    """A layer whose queries, keys and values are apart, and whose norms have llama's names."""
    t, a = dict(t), p + "self_attn."
    if (whole := t.get(a + "qkv_proj.weight")) is not None:
        d = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        q, kv = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
        t[a + "q_proj.weight"], t[a + "k_proj.weight"] = whole[:q], whole[q : q + kv]
        t[a + "v_proj.weight"] = whole[q + kv :]
    if (whole := t.get(a + "W_pack.weight")) is not None:
        for name, part in zip("qkv", np.split(whole, 3), strict=True):
            t[f"{a}{name}_proj.weight"] = part
    if c["model_type"] in ("olmo2", "olmo3", "exaone4", "gemma2", "gemma3_text"):
        t[p + "post_self_attn_layernorm.weight"] = t.pop(p + "post_attention_layernorm.weight")
        t[p + "post_mlp_layernorm.weight"] = t[p + "post_feedforward_layernorm.weight"]
    if c["model_type"] in ("gemma2", "gemma3_text"):
        t[p + "post_attention_layernorm.weight"] = t[p + "pre_feedforward_layernorm.weight"]
    return t


def _hugging_face_block(t: Mapping[str, F], p: str) -> Block:
    a = p + "self_attn."
    if p + "mlp.gate_up_proj.weight" in t:
        both = t[p + "mlp.gate_up_proj.weight"]
        gate, up = both[: len(both) // 2], both[len(both) // 2 :]
    else:
        none = np.zeros(0, np.float32)  # experts in their place
        gate, up = t.get(p + "mlp.gate_proj.weight", none), t.get(p + "mlp.up_proj.weight", none)
    return Block(
        t[a + "q_proj.weight"],
        t[a + "k_proj.weight"],
        t[a + "v_proj.weight"],
        t[a + "o_proj.weight"],
        gate,
        up,
        t.get(p + "mlp.down_proj.weight", np.zeros(0, np.float32)),
        t.get(p + "input_layernorm.weight"),
        t.get(p + "post_attention_layernorm.weight"),
        t.get(a + "q_proj.bias", 0.0),
        t.get(a + "k_proj.bias", 0.0),
        t.get(a + "v_proj.bias", 0.0),
        t.get(a + "o_proj.bias", 0.0),
        t.get(a + "q_norm.weight", t.get(a + "query_layernorm.weight")),
        t.get(a + "k_norm.weight", t.get(a + "key_layernorm.weight")),
        after_attention=t.get(p + "post_self_attn_layernorm.weight"),
        after_mlp=t.get(p + "post_mlp_layernorm.weight"),
        b_gate=t.get(p + "mlp.gate_proj.bias", 0.0),
        b_up=t.get(p + "mlp.up_proj.bias", 0.0),
        b_down=t.get(p + "mlp.down_proj.bias", 0.0),
    )


def from_chatglm(c: Mapping[str, Any], t: Mapping[str, F]) -> Reference:
    """ChatGLM2, ChatGLM3 and GLM-4 in the layout of their own code."""
    d, heads = c["kv_channels"], c["num_attention_heads"]
    groups = c["multi_query_group_num"] if c["multi_query_attention"] else heads
    ratio = c.get("rope_ratio", 1)
    if "chatglm2" in c.get("_name_or_path", ""):
        frequencies = plain_frequencies(10000.0, d // 2) / ratio
    else:
        frequencies = plain_frequencies(10000.0 * ratio, d // 2)
    model = Reference(
        t["transformer.embedding.word_embeddings.weight"],
        t["transformer.output_layer.weight"],
        t["transformer.encoder.final_layernorm.weight"],
        heads,
        groups,
        d,
        c["layernorm_epsilon"],
        frequencies,
        interleaved=True,
    )
    for i in range(c["num_layers"]):
        p = f"transformer.encoder.layers.{i}."
        w, b = (t[p + "self_attention.query_key_value." + kind] for kind in ("weight", "bias"))
        nq, nk = heads * d, groups * d
        h4 = t[p + "mlp.dense_h_to_4h.weight"]
        half = c["ffn_hidden_size"]
        model.blocks.append(
            Block(
                w[:nq],
                w[nq : nq + nk],
                w[nq + nk :],
                t[p + "self_attention.dense.weight"],
                h4[:half],
                h4[half:],
                t[p + "mlp.dense_4h_to_h.weight"],
                t[p + "input_layernorm.weight"],
                t[p + "post_attention_layernorm.weight"],
                b[:nq],
                b[nq : nq + nk],
                b[nq + nk :],
            )
        )
    return model


INTERLEAVED = ("llama", "granite", "granitemoe", "smollm3", "arcee", "ernie4_5")


def from_gguf(path: Path) -> Reference:
    """Any architecture that is read, as llama.cpp reads it, de-quantised by the gguf library."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    t = {
        x.name: dequantize(x.data, x.tensor_type)
        .astype(np.float32)
        .reshape([int(s) for s in x.shape][::-1])
        for x in reader.tensors
    }

    def meta(key: str, default: Any = None) -> Any:
        found = reader.fields.get(f"{arch}.{key}")
        return default if found is None else found.contents()

    arch = reader.fields["general.architecture"].contents()
    gemma, heads = arch.startswith("gemma"), meta("attention.head_count")
    d = meta("attention.key_length", meta("embedding_length") // heads)
    frequencies, turned_by = _gguf_rope(meta, t, meta("rope.dimension_count", d))
    model = Reference(
        t["token_embd.weight"],
        t.get("output.weight", t["token_embd.weight"]),
        t["output_norm.weight"],
        heads,
        meta("attention.head_count_kv", heads),
        d,
        meta("attention.layer_norm_rms_epsilon"),
        frequencies,
        interleaved=arch in INTERLEAVED,
        turned_by=turned_by,
        embedded_by=math.sqrt(meta("embedding_length")) if gemma else meta("embedding_scale", 1.0),
        added_by=meta("residual_scale", 1.0),
        scored_by=meta("attention.scale"),
        said_by=1 / meta("logit_scale", 1.0),
        gelu=gemma,
        bent_at=meta("final_logit_softcapping"),
    )
    for i in range(meta("block_count")):
        block = _gguf_block(t, f"blk.{i}.", heads * d, meta("attention.head_count_kv", heads) * d)
        window = meta("attention.sliding_window")
        every = {"gemma3": 6, "gemma2": 2, "gpt-oss": 2, "exaone4": 4, "phi3": 10**6}.get(arch)
        if window and every and (i + 1) % every:
            block.looks_back = window
            block.frequencies = plain_frequencies(10000.0, d) if arch == "gemma3" else None
        elif window and arch == "exaone4":
            block.rotates = False
        block.mixture = gguf_mixture(t, f"blk.{i}.", arch, meta("expert_used_count", 0))
        block.sinks = t.get(f"blk.{i}.attn_sinks.weight")
        if arch in ("gpt-oss", "seed_oss"):  # theirs of the MLP, by another's name
            block.norm_2, block.after_attention = block.after_attention, None
        if arch == "smollm3":
            block.rotates = bool((i + 1) % 4)
        model.blocks.append(block)
    return model


def _gguf_rope(meta: Any, t: Mapping[str, F], rotated: int) -> tuple[NDArray[np.float64], float]:
    """Frequencies, and what cosines and sines are multiplied by."""
    theta = meta("rope.freq_base", 10000.0)
    frequencies = plain_frequencies(theta, rotated)
    if "rope_freqs.weight" in t:
        return frequencies / t["rope_freqs.weight"], 1.0
    old = meta("rope.scaling.original_context_length")
    if "rope_factors_short.weight" in t:
        longer = meta("context_length") / old
        return frequencies / t["rope_factors_short.weight"], math.sqrt(
            1 + math.log(longer) / math.log(old)
        )
    kind, factor = meta("rope.scaling.type"), meta("rope.scaling.factor", 1.0)
    if kind == "yarn":
        s = {"original_max_position_embeddings": old, "factor": factor}
        s["truncate"] = meta("attention.sliding_window") is None  # of these, gpt-oss's are not cut
        return yarn_frequencies(frequencies, s, theta), yarn_magnitude(s)
    return frequencies / (factor if kind == "linear" else 1.0), 1.0


def _gguf_block(t: Mapping[str, F], p: str, q: int, kv: int) -> Block:
    b = {kind: t.get(f"{p}attn_{kind}.bias", 0.0) for kind in ("q", "k", "v", "output")}
    if (whole := t.get(p + "attn_qkv.weight")) is not None:
        wq, wk, wv = whole[:q], whole[q : q + kv], whole[q + kv :]
    else:
        wq, wk, wv = (t[f"{p}attn_{kind}.weight"] for kind in "qkv")
    none = np.zeros(0, np.float32)
    up = t.get(p + "ffn_up.weight", none)
    gate = t.get(p + "ffn_gate.weight")
    if gate is None and len(up) < 192:
        gate = none  # experts in its place, or no gate at all
    if gate is None:
        gate, up = up[: len(up) // 2], up[len(up) // 2 :]
    return Block(
        wq,
        wk,
        wv,
        t[p + "attn_output.weight"],
        gate,
        up,
        t.get(p + "ffn_down.weight", none),
        t.get(p + "attn_norm.weight"),
        t.get(p + "ffn_norm.weight"),
        b["q"],
        b["k"],
        b["v"],
        b["output"],
        t.get(p + "attn_q_norm.weight"),
        t.get(p + "attn_k_norm.weight"),
        after_attention=t.get(p + "post_attention_norm.weight"),
        after_mlp=t.get(p + "post_ffw_norm.weight"),
    )


def divergence(exact: F, other: F) -> tuple[float, float]:
    """Mean KL(exact || other) in nats and the share of equal top-1 tokens."""
    p, q = _log_softmax(exact), _log_softmax(other)
    kl = float(np.mean(np.sum(np.exp(p) * (p - q), axis=-1)))
    return kl, float(np.mean(exact.argmax(-1) == other.argmax(-1)))


def _log_softmax(logits: F) -> NDArray[np.float64]:
    x = logits.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))
