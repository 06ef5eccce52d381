"""Further plain decoders, each llama with a few changes: what they are, their names and their defaults.

Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export import layouts
from export.errors import ExportError
from export.family import Family
from export.layouts import Items, Tensors, same_names
from export.llama_like import spec_of
from export.rope import inverse_frequencies
from export.settings import FULL, SLIDING, Settings
from export.sources.checkpoint import Config
from export.spec import LM_HEAD, DecoderSpec
from export.tensors import Floats, StoredTensor, compound_tensor

# As vLLM and llama.cpp tell Baichuan 2, whose lm_head has rows of length one, from Baichuan.
_BAICHUAN_2_VOCAB = 125696


def seed_oss(config: Config) -> DecoderSpec:
    """Llama with its biases by other names."""
    return spec_of(
        config,
        qkv_bias=bool(config.get("attention_bias", True)),
        o_bias=bool(config.get("attention_out_bias", False)),
        mlp_bias=bool(config.get("mlp_bias", False)),
    )


def internlm3(config: Config) -> DecoderSpec:
    """Llama with its biases by other names, too."""
    bias = bool(config.get("bias", False))
    qkv_bias = bool(config.get("qkv_bias", False))
    return spec_of(config, qkv_bias=qkv_bias, o_bias=bias, mlp_bias=bias)


def arcee(config: Config) -> DecoderSpec:
    """Llama with an MLP without a gate, whose activation is the square of what is positive."""
    bias = bool(config.get("attention_bias", False))
    return spec_of(
        config,
        ("relu2",),
        qkv_bias=bias,
        o_bias=bias,
        mlp_bias=bool(config.get("mlp_bias", False)),
        activation="relu2",
        gated=False,
    )


def ministral3(config: Config) -> DecoderSpec:
    """Mistral whose scores grow with the logarithm of how many original contexts lie behind a token."""
    scaling = Settings(config).rope_scaling
    growth = scaling.get("llama_4_scaling_beta")
    return spec_of(
        config,
        has_windows=True,
        score_growth=(float(growth), int(scaling[_ORIGINAL])) if growth else None,
    )


_ORIGINAL = "original_max_position_embeddings"


def olmo3(config: Config) -> DecoderSpec:
    """OLMo 2 with a window in three layers of four, whose angles are not scaled."""
    settings, bias = Settings(config), bool(config.get("attention_bias", False))
    heads = settings.size("num_attention_heads")
    head_dim = settings.size("head_dim", settings.size("hidden_size") // heads)
    theta = settings.rope("rope_theta", 10000.0)
    return spec_of(
        {**config, "layer_types": config.get("layer_types") or _every_fourth_full(config)},
        has_windows=True,
        local_inv_freq=inverse_frequencies(theta, head_dim, None),
        qkv_bias=bias,
        o_bias=bias,
        flat_qk_norm=True,
        pre_norms=False,
        post_norms=True,
    )


def exaone4(config: Config) -> DecoderSpec:
    """Norms behind attention and MLP and of each head; where layers have windows, the others do not rotate."""
    kinds = config.get("layer_types") or _every_fourth_full(config)
    has_windows = bool(config.get("sliding_window"))
    unrotated = [i for i, kind in enumerate(kinds) if kind == FULL] if has_windows else []
    return spec_of(
        {**config, "layer_types": kinds},
        has_windows=True,
        unrotated=frozenset(unrotated),
        qk_norm=True,
        pre_norms=False,
        post_norms=True,
    )


def _every_fourth_full(config: Config) -> list[str]:
    """Or as often as sliding_window_pattern says, by a number or in letters (LLLG)."""
    pattern = config.get("sliding_window_pattern") or 4
    every = len(pattern) if isinstance(pattern, str) else int(pattern)
    return [SLIDING if i % every else FULL for i in range(1, config["num_hidden_layers"] + 1)]


def baichuan(config: Config) -> DecoderSpec:
    """Llama with queries, keys and values in one matrix; the model of 13 billion has ALiBi in the place of RoPE."""
    if config.get("max_position_embeddings") is None:
        raise ExportError(
            "The Baichuan model of 13 billion parameters has ALiBi, which is not supported; export the one of 7 billion."
        )
    return spec_of(config)


def baichuan_names(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """W_pack is queries, keys, then values."""
    return dict(item for pair in tensors.items() for item in _baichuan_items(spec, *pair))


def _baichuan_items(spec: DecoderSpec, name: str, tensor: StoredTensor) -> Items:
    rows = spec.heads * spec.head_dim
    if ".self_attn.W_pack." in name and tensor.rows == 3 * rows:
        for which, part in zip("qkv", tensor.split(rows, rows, rows), strict=True):
            yield name.replace("W_pack", f"{which}_proj"), part
    elif name == LM_HEAD and spec.vocab == _BAICHUAN_2_VOCAB and len(tensor.shape) == 2:
        rows, columns = tensor.shape
        yield name, compound_tensor(name, "UNIT", (rows, columns), _UnitRows(tensor))
    else:
        yield name, tensor


@dataclass(frozen=True)
class _UnitRows:
    """A matrix whose rows are brought to length one."""

    tensor: StoredTensor

    def read(self, rows: NDArray[np.intp]) -> Floats:
        """The rows of these numbers, as float32."""
        values = self.tensor.take(rows).read()
        unit: Floats = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-7)
        return unit


def _families() -> Iterator[tuple[str, Family]]:
    plain: Config = {"rms_norm_eps": 1e-6, "max_position_embeddings": 4096}
    yield "seed_oss", Family(seed_oss, same_names, {**plain, "max_position_embeddings": 524288})
    yield "internlm3", Family(internlm3, same_names, {**plain, "max_position_embeddings": 32768})
    yield "arcee", Family(arcee, same_names, {**plain, "rms_norm_eps": 1e-5})
    yield (
        "ministral3",
        Family(
            ministral3,
            same_names,
            {
                "rms_norm_eps": 1e-5,
                "max_position_embeddings": 262144,
                "num_key_value_heads": 8,
                "head_dim": 128,
            },
        ),
    )
    behind: Config = {
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
        "sliding_window": 4096,
    }
    yield "olmo3", Family(olmo3, layouts.names_of_norms_behind, behind)
    yield "exaone4", Family(exaone4, layouts.names_of_norms_behind, behind)
    yield "baichuan", Family(baichuan, baichuan_names, {"rms_norm_eps": 1e-6})


FAMILIES: dict[str, Family] = dict(_families())
