"""LFM2: most layers mix tokens with a short gated convolution, some with attention.

Which ones, `layer_types` says, or `full_attn_idxs` in older configurations. Its norms, its MLP's matrices and
some settings have names of their own. Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

import re

from export.layouts import Tensors
from export.llama_like import spec_of
from export.recurrent import ShortConvolution
from export.settings import FULL, Settings, unmodelled
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

DEFAULTS: Config = {
    "norm_eps": 1e-5,
    "max_position_embeddings": 128_000,
    "num_key_value_heads": 8,
    "rope_theta": 1e6,
    "conv_L_cache": 3,
    "block_multiple_of": 256,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": True,
    "tie_word_embeddings": True,
}
_CONVOLUTION = "conv"
_NAMES = (
    (r"^model\.embedding_norm\.", "model.norm."),
    (r"\.operator_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.self_attn\.out_proj\.", ".self_attn.o_proj."),
    (r"\.self_attn\.([qk])_layernorm\.", r".self_attn.\1_norm."),
)


def spec(config: Config) -> DecoderSpec:
    """Of a model of the type lfm2. Raises ExportError for what is not modelled."""
    settings = Settings(config)
    kinds = _kinds(settings)
    words = {
        "layer_types": None,
        "intermediate_size": _width(settings),
        "rms_norm_eps": settings.number("norm_eps"),
        "tie_word_embeddings": config.get("tie_embedding", config["tie_word_embeddings"]),
    }
    return spec_of(
        {**config, **words},
        qk_norm=True,
        recurrence=ShortConvolution(
            settings.size("conv_L_cache"), bias=bool(config.get("conv_bias", False))
        ),
        recurrent=frozenset(i for i, kind in enumerate(kinds) if kind == _CONVOLUTION),
    )


def canonical(_spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """Under the names of llama's, as far as those have any."""
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    for old, new in _NAMES:
        name = re.sub(old, new, name)
    return name


def _kinds(settings: Settings) -> list[str]:
    """The kind of each layer."""
    layers, config = settings.size("num_hidden_layers"), settings.config
    kinds = config.get("layer_types")
    if kinds is None:
        attends = config.get("full_attn_idxs")
        attends = range(layers) if attends is None else attends
        kinds = [FULL if i in attends else _CONVOLUTION for i in range(layers)]
    if strange := sorted({str(kind) for kind in kinds} - {FULL, _CONVOLUTION}):
        raise unmodelled(f"layers of the kind {', '.join(strange)}")
    return list(kinds[:layers])


def _width(settings: Settings) -> int:
    """Of the MLP: two thirds of what is said, times a factor, rounded up."""
    wide = settings.size("block_ff_dim", settings.config.get("intermediate_size"))
    if not settings.config["block_auto_adjust_ff_dim"]:
        return wide
    wide = int(2 * wide / 3)
    if (factor := settings.config.get("block_ffn_dim_multiplier")) is not None:
        multiple = settings.size("block_multiple_of")
        wide = -(-int(factor * wide) // multiple) * multiple
    return wide
