"""config.json and generation_config.json of a model directory.

The source's own configuration is kept, with the standard keys that readers look for filled in
from the decoder. Every id that ends a turn is listed, whatever the source forgot.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from export import artifacts
from export.sources.checkpoint import Checkpoint, Config
from export.spec import DecoderSpec

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "glm": "GlmForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "granite": "GraniteForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "ernie4_5": "Ernie4_5ForCausalLM",
    "hunyuan_v1_dense": "HunYuanDenseV1ForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "minicpm": "MiniCPMForCausalLM",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "qwen3_next": "Qwen3NextForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "lfm2": "Lfm2ForCausalLM",
    "seed_oss": "SeedOssForCausalLM",
    "internlm3": "InternLM3ForCausalLM",
    "arcee": "ArceeForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "olmo3": "Olmo3ForCausalLM",
    "exaone4": "Exaone4ForCausalLM",
    "baichuan": "BaichuanForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "granitemoe": "GraniteMoeForCausalLM",
    "chatglm": "ChatGLMModel",
}
SAMPLING_KEYS = ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty")


def write_metadata(
    directory: Path, checkpoint: Checkpoint, spec: DecoderSpec, end_of_turn_ids: Iterable[int]
) -> None:
    """Write both files; `end_of_turn_ids` are those that the tokenizer knows of."""
    config = _config(checkpoint, spec)
    artifacts.write_json(directory / artifacts.CONFIG, config)
    generation: Config = {
        key: value for key, value in checkpoint.generation.items() if key in SAMPLING_KEYS
    }
    for key in ("bos_token_id", "pad_token_id"):
        if (token := checkpoint.generation.get(key, config.get(key))) is not None:
            generation[key] = token
    generation["eos_token_id"] = _end_ids(checkpoint, end_of_turn_ids)
    artifacts.write_json(directory / artifacts.GENERATION_CONFIG, generation)


def _config(checkpoint: Checkpoint, spec: DecoderSpec) -> Config:
    config: Config = {
        "architectures": [ARCHITECTURES[spec.family]],
        **{key: value for key, value in checkpoint.config.items() if value is not None},
        "hidden_size": spec.hidden,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads,
        "head_dim": spec.head_dim,
        "intermediate_size": spec.intermediate,
        "vocab_size": spec.vocab,
        "max_position_embeddings": spec.max_positions,
    }
    if spec.keys_turn_alike:  # the engine may move them then
        config["rotary_inv_freq"] = list(spec.inv_freq)
    # The first is code; the others are of weights that this directory does not hold.
    for key in ("auto_map", "quantization_config", "compression_config"):
        config.pop(key, None)
    return config


def _end_ids(checkpoint: Checkpoint, of_tokenizer: Iterable[int]) -> list[int]:
    """Every id that ends a turn: the source's own, then those that the tokenizer knows of."""
    ids: list[Any] = []
    for settings in (checkpoint.generation, checkpoint.config):
        value = settings.get("eos_token_id")
        ids += value if isinstance(value, list) else [value]
    return list(dict.fromkeys(token for token in (*ids, *of_tokenizer) if isinstance(token, int)))
