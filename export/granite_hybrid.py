"""Granite 4's hybrids without experts: most layers are Mamba-2, some have attention, as a rule without positions.

Knows neither file formats nor OpenVINO.
"""

from __future__ import annotations

from typing import Any

from export.layouts import Items, Tensors
from export.llama_like import granite
from export.recurrent import Mamba2
from export.settings import Settings, unmodelled
from export.sources.checkpoint import Config
from export.spec import DecoderSpec

DEFAULTS: Config = {
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
    "num_local_experts": 8,
    "shared_intermediate_size": 1024,
    "mamba_n_heads": 128,
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}
_MAMBA = ("mamba", "linear_attention")
_ATTENTION = ("attention", "full_attention")


def spec(config: Config) -> DecoderSpec:
    """Of a model of the type granitemoehybrid. Raises ExportError for what is not modelled."""
    settings = Settings(config)
    kinds = _kinds(settings)
    attends = frozenset(i for i, kind in enumerate(kinds) if kind in _ATTENTION)
    rotates = config.get("position_embedding_type") == "rope"
    words = {"layer_types": None, "intermediate_size": config["shared_intermediate_size"]}
    return granite(
        {**config, **words},
        unrotated=frozenset() if rotates else attends,
        recurrence=_sizes(settings),
        recurrent=frozenset(range(len(kinds))) - attends,
    )


def _kinds(settings: Settings) -> list[str]:
    """The kind of each layer."""
    layers = settings.size("num_hidden_layers")
    kinds = settings.config.get("layer_types") or settings.config.get("layers_block_type")
    kinds = [str(kind) for kind in kinds or [_MAMBA[0]] * layers][:layers]
    if strange := sorted(set(kinds) - {*_MAMBA, *_ATTENTION}):
        raise unmodelled(f"layers of the kind {', '.join(strange)}")
    return kinds


def _sizes(settings: Settings) -> Mamba2:
    config = settings.config
    heads = settings.size("mamba_n_heads")
    width = settings.size("mamba_expand") * settings.size("hidden_size")
    head_dim = config.get("mamba_d_head")
    shortest, longest = config.get("time_step_limit") or (0.0, float("inf"))
    return Mamba2(
        heads=heads,
        head_dim=width // heads if head_dim in (None, "auto") else int(head_dim),
        groups=settings.size("mamba_n_groups"),
        state=settings.size("mamba_d_state"),
        kernel=settings.size("mamba_d_conv"),
        bias=bool(config["mamba_proj_bias"]),
        conv_bias=bool(config["mamba_conv_bias"]),
        time_limits=(_number(shortest), _number(longest)),
        plain_rates=bool(config.get("has_plain_rates")),  # of GGUF files
    )


def _number(said: Any) -> float:
    """Infinity has a form of its own in configurations."""
    return float(said["__float__"]) if isinstance(said, dict) else float(said)


def canonical(spec: DecoderSpec, tensors: Tensors) -> Tensors:
    """in_proj is gate, convolution, then time steps; input_linear is gate, then up."""
    return dict(_items(spec, tensors))


def _items(spec: DecoderSpec, tensors: Tensors) -> Items:
    sizes = spec.recurrence
    assert isinstance(sizes, Mamba2)
    mamba = {"gate_proj": sizes.width, "conv_proj": sizes.channels, "dt_proj": sizes.heads}
    mlp = {"gate_proj": spec.intermediate, "up_proj": spec.intermediate}
    for name, tensor in tensors.items():
        if ".mamba.in_proj." in name and tensor.rows == sum(mamba.values()):
            for part, taken in zip(mamba, tensor.split(*mamba.values()), strict=True):
                yield name.replace("in_proj", part), taken
        elif ".shared_mlp.input_linear." in name and tensor.rows == sum(mlp.values()):
            for part, taken in zip(mlp, tensor.split(*mlp.values()), strict=True):
                yield name.replace("shared_mlp.input_linear", f"mlp.{part}"), taken
        else:
            yield name.replace("shared_mlp.output_linear", "mlp.down_proj"), tensor
