"""The language model of a checkpoint for images and text, as if it were a checkpoint of its own.

The hub's Qwen3.5 are such checkpoints. What reads images is left out.
"""

from __future__ import annotations

import re
from dataclasses import replace

from export.sources.checkpoint import Checkpoint

# model_type: what is left out of its tensors.
_LEFT_OUT = {"qwen3_5": re.compile(r"(model\.)?visual\..*")}
_PREFIX = re.compile(r"^(model\.language_model|language_model\.model)\.")
_TOP_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings")


def text_part(checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` itself if it is of text alone, or of a kind that is not known."""
    outer = checkpoint.config
    left_out, inner = _LEFT_OUT.get(str(outer.get("model_type"))), outer.get("text_config")
    if left_out is None or not isinstance(inner, dict):
        return checkpoint
    around = {key: outer[key] for key in _TOP_KEYS if outer.get(key) is not None}
    said = {key: value for key, value in inner.items() if value is not None}
    config = {"model_type": f"{outer['model_type']}_text", **around, **said}
    tensors = {
        _PREFIX.sub("model.", name): tensor
        for name, tensor in checkpoint.tensors.items()
        if not left_out.fullmatch(name)
    }
    return replace(checkpoint, config=config, tensors=tensors)
