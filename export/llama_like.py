"""Specs of the families whose configuration is in llama's words: what each of them adds to it.

Defaults that a silent config.json means stand beside the families (families.py). Knows neither file
formats nor tensors.
"""

from __future__ import annotations

from typing import Any

from export.rope import attention_factor, inverse_frequencies
from export.settings import SILU, Settings
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

# What families with such a switch do not refuse.
_MODELLED = {"experts": "mixture of experts", "logit_cap": "logit soft-capping"}
# Theirs have a switch, and a window in the layers behind so many.
QWEN_WINDOWS: Config = {
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}


def spec_of(
    config: Config,
    activations: tuple[str, ...] = SILU,
    *,
    has_windows: bool = False,
    kinds: tuple[str, ...] = (),
    **switches: Any,
) -> DecoderSpec:
    """What the usual words say, and `switches` of DecoderSpec for the rest. Raises ExportError.

    has_windows: the family reads `sliding_window`; in others the word may be left over from elsewhere.
    kinds: of layers that it has beside attention.
    """
    settings = Settings(config)
    modelled = [what for s, what in _MODELLED.items() if s in switches]
    settings.refuse_unmodelled(activations, modelled, kinds)
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    head_dim = settings.size("head_dim", hidden // heads)
    partial, layers = (
        settings.rope("partial_rotary_factor", 1.0),
        settings.size("num_hidden_layers"),
    )
    windowed = settings.windowed(layers) if has_windows else frozenset()
    return DecoderSpec(
        family=str(config["model_type"]),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=settings.size("num_key_value_heads", heads),
        head_dim=head_dim,
        intermediate=settings.size("intermediate_size"),
        vocab=settings.size("vocab_size"),
        eps=settings.number("rms_norm_eps"),
        inv_freq=_angles(settings, int(head_dim * partial)),
        rotary_scale=attention_factor(settings.rope_scaling),
        max_positions=settings.max_positions,
        window=config["sliding_window"] if windowed else None,
        windowed=windowed,
        tied=bool(config.get("tie_word_embeddings", False)),
        **switches,
    )


def _angles(settings: Settings, rotary_dim: int) -> tuple[float, ...]:
    plain = inverse_frequencies(
        settings.rope("rope_theta", 10000.0), rotary_dim, settings.rope_scaling
    )
    factors = settings.config.get("rope_frequency_factors")
    if factors is None:
        return plain
    return tuple(angle / factor for angle, factor in zip(plain, factors, strict=True))


def llama(config: Config) -> DecoderSpec:
    """Biases where the configuration says so."""
    bias = bool(config.get("attention_bias", False))
    mlp_bias = bool(config.get("mlp_bias", False))
    return spec_of(
        config,
        qkv_bias=bias,
        o_bias=bool(config.get("attention_output_bias", bias)),
        mlp_bias=mlp_bias,
    )


def mistral(config: Config) -> DecoderSpec:
    """Llama, with a size of heads of its own."""
    return spec_of(config, has_windows=True)


def qwen2(config: Config) -> DecoderSpec:
    """Biases on queries, keys and values."""
    return spec_of(config, has_windows=True, qkv_bias=True)


def qwen3(config: Config, **switches: Any) -> DecoderSpec:
    """A norm of each query's and key's head."""
    bias = bool(config.get("attention_bias", False))
    o_bias = bool(config.get("attention_output_bias", bias))
    return spec_of(config, has_windows=True, qkv_bias=bias, o_bias=o_bias, qk_norm=True, **switches)


def glm(config: Config) -> DecoderSpec:
    """The first half of a head rotates; glm4 has norms behind attention and MLP, too."""
    return spec_of(
        config,
        qkv_bias=bool(config.get("attention_bias", False)),
        post_norms=config["model_type"] == "glm4",
    )


def phi3(config: Config) -> DecoderSpec:
    """Queries, keys and values in one matrix, gate and up in another; the first part of a head may rotate."""
    return spec_of(config, has_windows=True)


def granite(config: Config, **switches: Any) -> DecoderSpec:
    """Llama with four constants; `switches` of DecoderSpec for more."""
    settings, bias = Settings(config), bool(config.get("attention_bias", False))
    return spec_of(
        config,
        qkv_bias=bias,
        o_bias=bias,
        mlp_bias=bool(config.get("mlp_bias", False)),
        embedding_scale=settings.number("embedding_multiplier", 1.0),
        residual_scale=settings.number("residual_multiplier", 1.0),
        attention_scale=settings.number("attention_multiplier", 1.0),
        logit_scale=1.0 / settings.number("logits_scaling", 1.0),
        **switches,
    )


def smollm3(config: Config) -> DecoderSpec:
    """Llama without rotary embedding in every fourth layer, or where `no_rope_layers` has a 0."""
    layers, interval = config["num_hidden_layers"], config.get("no_rope_layer_interval") or 4
    rotates = config.get("no_rope_layers") or [(i + 1) % interval for i in range(layers)]
    bias = bool(config.get("attention_bias", False))
    return spec_of(
        config,
        has_windows=True,
        qkv_bias=bias,
        o_bias=bias,
        mlp_bias=bool(config.get("mlp_bias", False)),
        unrotated=frozenset(i for i, turns in enumerate(rotates) if not turns),
    )


def olmo2(config: Config) -> DecoderSpec:
    """Norms behind attention and MLP alone, and over all heads of queries and keys."""
    bias = bool(config.get("attention_bias", False))
    return spec_of(
        config, qkv_bias=bias, o_bias=bias, flat_qk_norm=True, pre_norms=False, post_norms=True
    )


def ernie4_5(config: Config) -> DecoderSpec:
    """Llama with interleaved rotary pairs, and one switch for all biases."""
    bias = bool(config.get("use_bias", False))
    return spec_of(config, qkv_bias=bias, o_bias=bias, mlp_bias=bias)


def hunyuan(config: Config) -> DecoderSpec:
    """Norms of queries and keys behind their rotary embedding."""
    bias = bool(config.get("attention_bias", False))
    return spec_of(config, qkv_bias=bias, o_bias=bias, qk_norm=True, late_qk_norm=True)


def internlm2(config: Config) -> DecoderSpec:
    """Llama in other names, with queries, keys and values of each group together."""
    bias = bool(config.get("bias", False))
    return spec_of(config, qkv_bias=bias, o_bias=bias)


def minicpm(config: Config) -> DecoderSpec:
    """Llama with three constants."""
    settings = Settings(config)
    hidden, base = settings.size("hidden_size"), config.get("dim_model_base")
    return spec_of(
        config,
        embedding_scale=settings.number("scale_emb", 1.0),
        residual_scale=settings.number("scale_depth", 1.0)
        / settings.size("num_hidden_layers") ** 0.5,
        logit_scale=base / hidden if base else 1.0,
    )
