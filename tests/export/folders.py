"""Tiny model folders: safetensors and torch .bin written by hand, configurations of each family."""

from __future__ import annotations

import collections
import io
import json
import pickle
import sys
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.export.checkpoints import VOCAB, F, byte_level_vocabulary, random_tensors

Config = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]

LLAMA: Config = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
LLAMA_3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CHATGLM: Config = {
    "model_type": "chatglm",
    "_name_or_path": "THUDM/chatglm3-6b",
    "hidden_size": 64,
    "ffn_hidden_size": 96,
    "num_layers": 2,
    "num_attention_heads": 4,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "kv_channels": 32,
    "padded_vocab_size": VOCAB,
    "layernorm_epsilon": 1e-5,
    "seq_length": 512,
    "add_qkv_bias": True,
    "add_bias_linear": False,
    "rmsnorm": True,
    "post_layer_norm": True,
    "apply_residual_connection_post_layernorm": False,
    "original_rope": True,
    "eos_token_id": 2,
}
LFM2: Config = {
    "model_type": "lfm2",
    "hidden_size": 64,
    "intermediate_size": 144,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "layer_types": ["conv", "full_attention", "conv", "conv"],
    "conv_L_cache": 3,
    "block_multiple_of": 32,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
FAMILIES: dict[str, Config] = {
    "llama": LLAMA,
    "llama-2 (all heads)": {**LLAMA, "num_key_value_heads": 4},
    "llama-3": {**LLAMA, "rope_theta": 500000.0, "rope_scaling": LLAMA_3_SCALING},
    "llama-3 (new keys)": {
        **{key: value for key, value in LLAMA.items() if key != "rope_theta"},
        "rope_parameters": {"rope_theta": 500000.0, **LLAMA_3_SCALING},
    },
    "llama (linear)": {
        **LLAMA,
        "rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 4.0},
    },
    "llama (tied)": {**LLAMA, "tie_word_embeddings": True},
    "llama (biases)": {**LLAMA, "attention_bias": True},
    "mistral": {**LLAMA, "model_type": "mistral", "head_dim": 32, "sliding_window": None},
    "qwen2": {**LLAMA, "model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64},
    "qwen3": {**LLAMA, "model_type": "qwen3", "head_dim": 32, "tie_word_embeddings": True},
    "llama (dynamic)": {**LLAMA, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}},
    "llama (yarn)": {
        **LLAMA,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "qwen3 (yarn, all of its settings)": {
        **LLAMA,
        "model_type": "qwen3",
        "head_dim": 32,
        "rope_parameters": {
            "rope_theta": 1000.0,
            "rope_type": "yarn",
            "factor": 2.0,
            "original_max_position_embeddings": 256,
            "beta_fast": 8,
            "beta_slow": 2,
            "mscale": 1.0,
            "mscale_all_dim": 0.5,
            "truncate": False,
        },
    },
    "llama (with a word left over)": {**LLAMA, "sliding_window": 24},
    "mistral (window)": {**LLAMA, "model_type": "mistral", "head_dim": 32, "sliding_window": 24},
    "qwen2 (window from the second layer on)": {
        **LLAMA,
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 24,
        "max_window_layers": 1,
    },
    "qwen3 (window in the first layer)": {
        **LLAMA,
        "model_type": "qwen3",
        "head_dim": 32,
        "use_sliding_window": True,
        "sliding_window": 40,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "phi3": {**LLAMA, "model_type": "phi3", "sliding_window": 512},
    "phi3 (longrope, half of each head)": {
        **LLAMA,
        "model_type": "phi3",
        "head_dim": 32,
        "partial_rotary_factor": 0.5,
        "original_max_position_embeddings": 128,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + i / 8 for i in range(8)],
            "long_factor": [2.0 + i for i in range(8)],
        },
    },
    "granite": {
        **LLAMA,
        "model_type": "granite",
        "embedding_multiplier": 12.0,
        "residual_multiplier": 0.22,
        "attention_multiplier": 0.08,
        "logits_scaling": 8.0,
        "tie_word_embeddings": True,
    },
    "smollm3": {**LLAMA, "model_type": "smollm3", "no_rope_layers": [1, 0]},
    "smollm3 (by interval)": {**LLAMA, "model_type": "smollm3", "no_rope_layer_interval": 2},
    "olmo2": {**LLAMA, "model_type": "olmo2"},
    "gemma": {
        **LLAMA,
        "model_type": "gemma",
        "head_dim": 32,
        "hidden_act": "gelu",
        "tie_word_embeddings": True,
    },
    "gemma2": {
        **LLAMA,
        "model_type": "gemma2",
        "head_dim": 32,
        "hidden_act": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 16,
        "sliding_window": 24,
        "final_logit_softcapping": 3.0,
        "attn_logit_softcapping": 50.0,
        "tie_word_embeddings": True,
    },
    "gemma3": {
        **LLAMA,
        "model_type": "gemma3_text",
        "head_dim": 32,
        "hidden_act": None,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 16,
        "sliding_window": 24,
        "sliding_window_pattern": 2,
        "rope_local_base_freq": 100.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "tie_word_embeddings": True,
    },
    "gemma3 (new keys)": {
        **{key: value for key, value in LLAMA.items() if key not in ("rope_theta", "hidden_act")},
        "model_type": "gemma3_text",
        "head_dim": 32,
        "query_pre_attn_scalar": 64,
        "sliding_window": 40,
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 200.0},
        },
        "tie_word_embeddings": True,
    },
    "ernie4_5": {**LLAMA, "model_type": "ernie4_5", "head_dim": 32, "use_bias": True},
    "hunyuan": {
        **LLAMA,
        "model_type": "hunyuan_v1_dense",
        "head_dim": 32,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
    },
    "internlm2": {
        **LLAMA,
        "model_type": "internlm2",
        "bias": True,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
    },
    "minicpm": {
        **LLAMA,
        "model_type": "minicpm",
        "scale_emb": 12,
        "scale_depth": 1.4,
        "dim_model_base": 16,
        "tie_word_embeddings": True,
    },
    "glm": {
        **LLAMA,
        "model_type": "glm",
        "head_dim": 32,
        "partial_rotary_factor": 0.5,
        "attention_bias": True,
    },
    "glm4": {**LLAMA, "model_type": "glm4", "head_dim": 32, "partial_rotary_factor": 0.5},
    "lfm2": LFM2,
    "lfm2 (biases, four taps, an older configuration)": {
        **LFM2,
        "layer_types": None,
        "full_attn_idxs": [0, 2],
        "num_hidden_layers": 3,
        "conv_bias": True,
        "conv_L_cache": 4,
        "block_auto_adjust_ff_dim": False,
        "block_ff_dim": 96,
        "rope_theta": 10000.0,
        "tie_word_embeddings": None,
        "tie_embedding": False,
    },
    "chatglm2": {**CHATGLM, "_name_or_path": "THUDM/chatglm2-6b-32k", "rope_ratio": 4},
    "chatglm3": {**CHATGLM, "rope_ratio": 4},
    "chatglm (all heads)": {**CHATGLM, "multi_query_attention": False},
}


def shapes(config: Config) -> Shapes:
    """Every tensor of a checkpoint in the family's own names."""
    if config["model_type"] == "chatglm":
        return _chatglm_shapes(config)
    if config["model_type"] == "internlm2":
        return _internlm2_shapes(config)
    if config["model_type"] == "lfm2":
        return _lfm2_shapes(config)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = config.get("head_dim") or hidden // heads
    q, kv = heads * width, config["num_key_value_heads"] * width
    found: Shapes = {"model.embed_tokens.weight": (VOCAB, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = (VOCAB, hidden)
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        parts = _layer(config, hidden, q, kv, width)
        if experts := _experts(config, layer):
            parts = {k: v for k, v in parts.items() if not k.startswith("mlp.")} | experts
        found |= {p + name: shape for name, shape in parts.items()}
    return found


def _experts(c: Config, layer: int) -> Shapes:
    """In the place of a layer's MLP; nothing where it has one."""
    hidden, wide = c["hidden_size"], c["intermediate_size"]
    if c["model_type"] == "granitemoe":
        count, m = c["num_local_experts"], "block_sparse_moe."
        return {
            m + "router.layer.weight": (count, hidden),
            m + "input_linear.weight": (count, 2 * wide, hidden),
            m + "output_linear.weight": (count, hidden, wide),
        }
    if c["model_type"] == "mixtral":
        found: Shapes = {"block_sparse_moe.gate.weight": (c["num_local_experts"], hidden)}
        for i in range(c["num_local_experts"]):
            e = f"block_sparse_moe.experts.{i}."
            found |= {f"{e}w1.weight": (wide, hidden), f"{e}w3.weight": (wide, hidden)}
            found[f"{e}w2.weight"] = (hidden, wide)
        return found
    if c["model_type"] == "gpt_oss":
        count = c["num_local_experts"]
        return {
            "mlp.router.weight": (count, hidden),
            "mlp.router.bias": (count,),
            "mlp.experts.gate_up_proj": (count, hidden, 2 * wide),
            "mlp.experts.gate_up_proj_bias": (count, 2 * wide),
            "mlp.experts.down_proj": (count, wide, hidden),
            "mlp.experts.down_proj_bias": (count, hidden),
        }
    step, dense = c.get("decoder_sparse_step", 1), c.get("mlp_only_layers", ())
    if "num_experts" not in c or layer in dense or (layer + 1) % step:
        return {}
    found = {"mlp.gate.weight": (c["num_experts"], hidden)}
    mlps = {f"experts.{i}": c["moe_intermediate_size"] for i in range(c["num_experts"])}
    if shared := c.get("shared_expert_intermediate_size"):
        found["mlp.shared_expert_gate.weight"] = (1, hidden)
        mlps["shared_expert"] = shared
    for name, size in mlps.items():
        found |= {f"mlp.{name}.{which}_proj.weight": (size, hidden) for which in ("gate", "up")}
        found[f"mlp.{name}.down_proj.weight"] = (hidden, size)
    return found


def _layer(c: Config, hidden: int, q: int, kv: int, width: int) -> Shapes:
    wide, kind = c["intermediate_size"], c["model_type"]
    layer: Shapes = {
        "self_attn.q_proj.weight": (q, hidden),
        "self_attn.k_proj.weight": (kv, hidden),
        "self_attn.v_proj.weight": (kv, hidden),
        "self_attn.o_proj.weight": (hidden, q),
        "mlp.down_proj.weight": (hidden, wide),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    if kind in ("glm", "glm4", "phi3"):
        layer["mlp.gate_up_proj.weight"] = (2 * wide, hidden)
    else:
        layer |= {"mlp.gate_proj.weight": (wide, hidden), "mlp.up_proj.weight": (wide, hidden)}
    if kind == "phi3":
        whole = q + 2 * kv
        layer = {
            k: v
            for k, v in layer.items()
            if not k.startswith(("self_attn.q", "self_attn.k", "self_attn.v"))
        }
        layer["self_attn.qkv_proj.weight"] = (whole, hidden)
    if kind == "arcee":
        del layer["mlp.gate_proj.weight"]
    if kind == "baichuan":
        for which in "qkv":
            del layer[f"self_attn.{which}_proj.weight"]
        layer["self_attn.W_pack.weight"] = (3 * q, hidden)
    if kind == "exaone4":
        del layer["input_layernorm.weight"]
        layer["post_feedforward_layernorm.weight"] = (hidden,)
    if kind in ("olmo2", "olmo3"):
        del layer["input_layernorm.weight"]
        layer |= {
            "post_feedforward_layernorm.weight": (hidden,),
            "self_attn.q_norm.weight": (q,),
            "self_attn.k_norm.weight": (kv,),
        }
    if kind in ("qwen2", "qwen2_moe") or c.get("attention_bias"):
        biases = {"q": q, "k": kv, "v": kv}
        layer |= {f"self_attn.{name}_proj.bias": (size,) for name, size in biases.items()}
    if kind == "gpt_oss":
        layer["self_attn.sinks"] = (c["num_attention_heads"],)
    if kind in ("llama", "gpt_oss") and c.get("attention_bias"):
        layer["self_attn.o_proj.bias"] = (hidden,)
    if kind == "ernie4_5" and c["use_bias"]:
        sizes = {
            **{
                f"self_attn.{name}_proj": size
                for name, size in zip("qkvo", (q, kv, kv, hidden), strict=True)
            },
            "mlp.gate_proj": wide,
            "mlp.up_proj": wide,
            "mlp.down_proj": hidden,
        }
        layer |= {f"{name}.bias": (size,) for name, size in sizes.items()}
    if kind == "hunyuan_v1_dense":
        layer |= {f"self_attn.{name}_layernorm.weight": (width,) for name in ("query", "key")}
    if kind in ("gemma2", "gemma3_text"):
        norms = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
        layer |= {f"{norm}.weight": (hidden,) for norm in norms}
    if kind in ("qwen3", "qwen3_moe", "gemma3_text", "exaone4"):
        layer |= {"self_attn.q_norm.weight": (width,), "self_attn.k_norm.weight": (width,)}
    if kind == "glm4":
        layer |= {
            "post_self_attn_layernorm.weight": (hidden,),
            "post_mlp_layernorm.weight": (hidden,),
        }
    return layer


def _internlm2_shapes(c: Config) -> Shapes:
    hidden, wide = c["hidden_size"], c["intermediate_size"]
    width = hidden // c["num_attention_heads"]
    rows = (c["num_attention_heads"] + 2 * c["num_key_value_heads"]) * width
    found: Shapes = {
        "model.tok_embeddings.weight": (VOCAB, hidden),
        "model.norm.weight": (hidden,),
        "output.weight": (VOCAB, hidden),
    }
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        found |= {
            p + "attention.wqkv.weight": (rows, hidden),
            p + "attention.wqkv.bias": (rows,),
            p + "attention.wo.weight": (hidden, hidden),
            p + "attention.wo.bias": (hidden,),
            p + "feed_forward.w1.weight": (wide, hidden),
            p + "feed_forward.w3.weight": (wide, hidden),
            p + "feed_forward.w2.weight": (hidden, wide),
            p + "attention_norm.weight": (hidden,),
            p + "ffn_norm.weight": (hidden,),
        }
    return found


def _lfm2_shapes(c: Config) -> Shapes:
    hidden, wide = c["hidden_size"], 96  # what both configurations come to
    width, kernel = hidden // c["num_attention_heads"], c["conv_L_cache"]
    kv = c["num_key_value_heads"] * width
    found: Shapes = {
        "model.embed_tokens.weight": (VOCAB, hidden),
        "model.embedding_norm.weight": (hidden,),
    }
    if not c.get("tie_embedding", c["tie_word_embeddings"]):
        found["lm_head.weight"] = (VOCAB, hidden)
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        found |= {
            p + "operator_norm.weight": (hidden,),
            p + "ffn_norm.weight": (hidden,),
            p + "feed_forward.w1.weight": (wide, hidden),
            p + "feed_forward.w2.weight": (hidden, wide),
            p + "feed_forward.w3.weight": (wide, hidden),
        }
        kinds = c["layer_types"]
        if layer in c["full_attn_idxs"] if kinds is None else kinds[layer] == "full_attention":
            found |= {
                p + "self_attn.q_proj.weight": (hidden, hidden),
                p + "self_attn.k_proj.weight": (kv, hidden),
                p + "self_attn.v_proj.weight": (kv, hidden),
                p + "self_attn.out_proj.weight": (hidden, hidden),
                p + "self_attn.q_layernorm.weight": (width,),
                p + "self_attn.k_layernorm.weight": (width,),
            }
            continue
        found |= {
            p + "conv.in_proj.weight": (3 * hidden, hidden),
            p + "conv.conv.weight": (hidden, 1, kernel),
            p + "conv.out_proj.weight": (hidden, hidden),
        }
        if c.get("conv_bias"):
            sizes = {"in_proj": 3 * hidden, "conv": hidden, "out_proj": hidden}
            found |= {f"{p}conv.{name}.bias": (size,) for name, size in sizes.items()}
    return found


def _chatglm_shapes(c: Config) -> Shapes:
    hidden, heads, width = c["hidden_size"], c["num_attention_heads"], c["kv_channels"]
    groups = c["multi_query_group_num"] if c["multi_query_attention"] else heads
    fused, e = (heads + 2 * groups) * width, "transformer.encoder."
    found: Shapes = {
        "transformer.embedding.word_embeddings.weight": (VOCAB, hidden),
        "transformer.rotary_pos_emb.inv_freq": (width // 4,),
        f"{e}final_layernorm.weight": (hidden,),
        "transformer.output_layer.weight": (VOCAB, hidden),
    }
    for layer in range(c["num_layers"]):
        p = f"{e}layers.{layer}."
        found |= {
            f"{p}input_layernorm.weight": (hidden,),
            f"{p}post_attention_layernorm.weight": (hidden,),
            f"{p}self_attention.query_key_value.weight": (fused, hidden),
            f"{p}self_attention.query_key_value.bias": (fused,),
            f"{p}self_attention.dense.weight": (hidden, heads * width),
            f"{p}mlp.dense_h_to_4h.weight": (2 * c["ffn_hidden_size"], hidden),
            f"{p}mlp.dense_4h_to_h.weight": (hidden, c["ffn_hidden_size"]),
        }
    return found


def write_folder(
    folder: Path, config: Config, *, dtype: str = "BF16", layout: str = "safetensors"
) -> dict[str, F]:
    """A model folder with random weights, which are returned; `layout` may end in "-sharded"."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = random_tensors(shapes(config))
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    kind, _, sharded = layout.partition("-")
    single = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[kind]
    write = {"safetensors": write_safetensors, "bin": write_torch_zip}[kind]
    if not sharded:
        write(folder / single, tensors, dtype)
        return tensors
    names = list(tensors)
    weight_map: dict[str, str] = {}
    stem, _, suffix = single.rpartition(".")
    for part in range(2):
        name = f"{stem}-0000{part + 1}-of-00002.{suffix}"
        write(folder / name, {key: tensors[key] for key in names[part::2]}, dtype)
        weight_map |= dict.fromkeys(names[part::2], name)
    (folder / f"{single}.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    return tensors


def write_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer.json with ChatML's special tokens."""
    vocabulary = {token: i for i, token in enumerate(byte_level_vocabulary())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("h", "e"), ("l", "l")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def _encoded(values: F, dtype: str) -> bytes:
    if dtype == "BF16":
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype({"F16": "<f2", "F32": "<f4"}[dtype]).tobytes()


def write_safetensors(path: Path, tensors: Mapping[str, F], dtype: str) -> None:
    header: Config = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, values in tensors.items():
        raw = _encoded(values, dtype)
        offsets = [len(content), len(content) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": offsets}
        content += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


class _Typed:
    """Stands for torch.FloatStorage and the like while pickling."""

    def __init__(self, key: str, storage: type, count: int) -> None:
        self.key, self.storage, self.count = key, storage, count


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        if isinstance(value, _Typed):
            return ("storage", value.storage, value.key, "cpu", value.count)
        return None


class _Rebuilt:
    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class FakeTorch:
    """Modules named as torch's, so that pickle can refer to them by name."""

    STORAGES: ClassVar = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage"}

    def __enter__(self) -> types.ModuleType:
        torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")

        def _rebuild_tensor_v2(*arguments: object) -> None: ...

        _rebuild_tensor_v2.__module__ = "torch._utils"
        _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
        inner._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
        for name in self.STORAGES.values():
            setattr(torch, name, type(name, (), {"__module__": "torch"}))
        sys.modules |= {"torch": torch, "torch._utils": inner}
        return torch

    def __exit__(self, *error: object) -> None:
        del sys.modules["torch"], sys.modules["torch._utils"]


def write_torch_zip(path: Path, tensors: Mapping[str, F], dtype: str) -> None:
    """What torch.save writes for a state dict; every second matrix is stored transposed."""
    content: dict[str, bytes] = {}
    state = collections.OrderedDict()
    with FakeTorch() as torch:
        storage = getattr(torch, FakeTorch.STORAGES[dtype])
        for number, (name, values) in enumerate(tensors.items()):
            turned = values.ndim == 2 and number % 2 == 1
            stored = np.ascontiguousarray(values.T if turned else values)
            content[str(number)] = _encoded(stored, dtype)
            strides = tuple(size // values.itemsize for size in stored.strides)
            state[name] = _Rebuilt(
                _Typed(str(number), storage, values.size),
                0,
                values.shape,
                strides[::-1] if turned else strides,
                False,
                collections.OrderedDict(),
            )
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=2).dump(state)
    write_archive(path, buffer.getvalue(), content)


def write_archive(path: Path, pickled: bytes, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, raw in content.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", "3\n")
