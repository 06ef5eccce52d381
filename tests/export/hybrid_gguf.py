"""GGUF files of the tiny hybrids, as llama.cpp's conversion writes them from Hugging Face's checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from tests.export.checkpoints import F, _add_tokenizer
from tests.export.folders import Config

ARCHITECTURES = {"qwen3_5_text": "qwen35", "granitemoehybrid": "granitehybrid", "lfm2": "lfm2"}
_COMMON = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "model.embedding_norm": "token_embd_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.out_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w3": "ffn_up",
    "feed_forward.w2": "ffn_down",
    "shared_mlp.output_linear": "ffn_down",
    "operator_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "conv.conv": "shortconv.conv",
    "conv.in_proj": "shortconv.in_proj",
    "conv.out_proj": "shortconv.out_proj",
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.out_proj": "ssm_out",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.conv1d": "ssm_conv1d",
    "mamba.in_proj": "ssm_in",
    "mamba.conv1d": "ssm_conv1d",
    "mamba.norm": "ssm_norm",
    "mamba.out_proj": "ssm_out",
}
_PLAIN = {"A_log": "ssm_a", "D": "ssm_d", "dt_bias": "ssm_dt.bias"}


def write_hybrid_gguf(
    path: Path, config: Config, tensors: Mapping[str, F], encoding: str = "F32"
) -> Path:
    """The file; large matrices in `encoding`."""
    architecture = ARCHITECTURES[config["model_type"]]
    writer = GGUFWriter(path, architecture)
    kinds = config.get("layer_types") or []
    linear = [kind not in ("attention", "full_attention") for kind in kinds]
    writer.add_block_count(config["num_hidden_layers"] + (architecture == "qwen35"))
    writer.add_context_length(512)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", config.get("norm_eps")))
    _add_tokenizer(writer)
    {"qwen35": _add_qwen, "granitehybrid": _add_granite, "lfm2": _add_lfm2}[architecture](
        writer, config, linear
    )
    for name, values in tensors.items():
        for written, changed in _converted(config, name, values):
            is_large = changed.ndim == 2 and changed.shape[1] % 32 == 0 and "norm" not in written
            kind = GGMLQuantizationType[encoding if is_large else "F32"]
            writer.add_tensor(written, quantize(changed, kind), raw_dtype=kind)
    if architecture == "qwen35":  # the layer that guesses a second token
        last = config["num_hidden_layers"]
        writer.add_tensor(f"blk.{last}.nextn.eh_proj.weight", np.zeros((64, 128), np.float32))
        writer.add_uint32("qwen35.nextn_predict_layers", 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_qwen(writer: GGUFWriter, c: Config, _linear: list[bool]) -> None:
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_key_length(c["head_dim"])
    writer.add_value_length(c["head_dim"])
    rope = c["rope_parameters"]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(c["head_dim"] * rope["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([2, 1, 1, 0])
    writer.add_ssm_conv_kernel(c["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(c["linear_key_head_dim"])
    writer.add_ssm_group_count(c["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(c["linear_num_value_heads"])
    writer.add_ssm_inner_size(c["linear_num_value_heads"] * c["linear_value_head_dim"])
    writer.add_uint32("qwen35.full_attention_interval", c["full_attention_interval"])


def _add_granite(writer: GGUFWriter, c: Config, linear: list[bool]) -> None:
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count_kv([0 if is_linear else c["num_key_value_heads"] for is_linear in linear])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_rope_scaling_finetuned(c["position_embedding_type"] == "rope")
    writer.add_embedding_scale(c["embedding_multiplier"])
    writer.add_residual_scale(c["residual_multiplier"])
    writer.add_attention_scale(c["attention_multiplier"])
    writer.add_logit_scale(c["logits_scaling"])
    inner = c["mamba_expand"] * c["hidden_size"]
    writer.add_ssm_conv_kernel(c["mamba_d_conv"])
    writer.add_ssm_state_size(c["mamba_d_state"])
    writer.add_ssm_group_count(c["mamba_n_groups"])
    writer.add_ssm_time_step_rank(c["mamba_n_heads"])
    writer.add_ssm_inner_size(inner)


def _add_lfm2(writer: GGUFWriter, c: Config, linear: list[bool]) -> None:
    writer.add_feed_forward_length(96)
    writer.add_head_count_kv([0 if is_linear else c["num_key_value_heads"] for is_linear in linear])
    writer.add_rope_freq_base(1e6)
    writer.add_uint32("lfm2.shortconv.l_cache", c["conv_L_cache"])


def _converted(c: Config, name: str, values: F) -> list[tuple[str, F]]:
    if c["model_type"] == "qwen3_5_text":
        values = _in_turn(c, name, values)
        if name.endswith("norm.weight") and "linear_attn" not in name:
            values = values + 1
    if c["model_type"] == "granitemoehybrid":
        if "input_linear" in name:
            gate, up = np.split(values, 2)
            base = _renamed(c, name.replace("shared_mlp.input_linear", "mlp.gate_proj"))
            return [(base, gate), (base.replace("gate", "up"), up)]
        if re.search(r"self_attn\.[qk]_proj", name):
            values = _permuted(c, name, values)
        if name.endswith("mamba.norm.weight"):
            values = values.reshape(c["mamba_n_groups"], -1)
    if name.endswith("A_log"):
        values = -np.exp(values)
    if "mamba" in name and name.endswith(("A_log", ".D")):
        values = values.reshape(-1, 1)
    if values.ndim == 3:
        values = values[:, 0]
    return [(_renamed(c, name), np.ascontiguousarray(values))]


def _renamed(c: Config, name: str) -> str:
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name)
    stem, _, kind = (found[2] if found else name).rpartition(".")
    if kind in _PLAIN:
        part = _PLAIN[kind]
    elif stem == "post_attention_layernorm":
        is_qwen = c["model_type"] == "qwen3_5_text"
        part = f"{'post_attention_norm' if is_qwen else 'ffn_norm'}.{kind}"
    else:
        part = f"{_COMMON[stem]}.{kind}"
    return f"blk.{found[1]}.{part}" if found else part


def _permuted(c: Config, name: str, values: F) -> F:
    """LlamaModel.permute: rotary pairs of each head stand interleaved."""
    heads = c["num_attention_heads"] if "q_proj" in name else c["num_key_value_heads"]
    parts = values.reshape(heads, 2, len(values) // heads // 2, -1)
    return parts.swapaxes(1, 2).reshape(values.shape)


def _in_turn(c: Config, name: str, values: F) -> F:
    """_LinearAttentionVReorderBase: the first value head of each key head, then the second of each ..."""
    if "linear_attn." not in name or name.endswith("linear_attn.norm.weight"):
        return values
    keys, heads = c["linear_num_key_heads"], c["linear_num_value_heads"]
    width, first = c["linear_value_head_dim"], 2 * keys * c["linear_key_head_dim"]
    order = np.arange(heads).reshape(keys, -1).T.reshape(-1)
    wide = (order[:, None] * width + np.arange(width)).reshape(-1)
    if "qkv" in name or "conv1d" in name:
        return np.concatenate([values[:first], values[first:][wide]])
    rows = values.T if "out_proj" in name else values
    turned: F = rows[wide if "in_proj_z" in name or "out_proj" in name else order]
    return turned.T if "out_proj" in name else turned
