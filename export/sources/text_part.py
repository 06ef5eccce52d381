"""Of a checkpoint for images and text, the part that reads and writes text: its configuration and tensors.

Gemma 3's, Mistral 3's, Qwen3-VL's and Qwen3.5's, in the layouts of transformers 4 (language_model.model.layers) and 5
(model.language_model.layers). What sees is left out.
"""

from __future__ import annotations

import re

from export.sources.checkpoint import Config
from export.tensors import StoredTensor

# model_type: that of its text part, if its configuration does not say; and what that is called as a model of its own.
_TEXT_TYPES = {
    "gemma3": "gemma3_text",
    "mistral3": "mistral",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_5": "qwen3_5_text",
}
_ALONE = {"qwen3_vl_text": "qwen3"}  # its three positions of a token are one in text
_SEEING = re.compile(r"(model\.)?(vision_tower|vision_model|visual|multi_modal_projector)\.")
_LANGUAGE = re.compile(
    r"(language_model\.model|model\.language_model)\.|language_model\.(?=lm_head\.)"
)
_SHARED = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings")


def text_part(
    config: Config, tensors: dict[str, StoredTensor]
) -> tuple[Config, dict[str, StoredTensor]]:
    """The same for every other checkpoint."""
    kind, text = config.get("model_type"), config.get("text_config")
    if kind not in _TEXT_TYPES or not isinstance(text, dict):
        return config, tensors
    text_type = str(text.get("model_type") or _TEXT_TYPES[kind])
    shared = {key: config[key] for key in _SHARED if key in config}
    kept = {
        _LANGUAGE.sub(_front, name, count=1): tensor
        for name, tensor in tensors.items()
        if not _SEEING.match(name)
    }
    said = {key: value for key, value in text.items() if value is not None}
    return {**shared, **said, "model_type": _ALONE.get(text_type, text_type)}, kept


def _front(found: re.Match[str]) -> str:
    return "model." if found[1] else ""
