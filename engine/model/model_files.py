"""What a model directory's JSON files say of the model: context length, end-of-turn tokens.

Reads only; raises ModelNotFound or ModelUnsupported with what to do next.
"""

import json
from pathlib import Path
from typing import Any, TypeGuard

from engine.errors import ModelNotFound, ModelUnsupported
from engine.text import read_end_token_ids

_CONTEXT_KEYS = (
    "max_position_embeddings",
    "seq_length",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "n_ctx",
)
_WINDOW_KEYS = ("sliding_window", "window_size", "attention_window")
_LONGROPE = {"longrope", "su"}
# ALiBi has no positions that could run out: models that have it were trained on texts of so many tokens.
_ENDLESS, _ENDLESS_CONTEXT = {"bloom"}, 2048


def read_settings(model_dir: Path) -> dict[str, Any]:
    """config.json."""
    return _read_json(model_dir / "config.json")


def read_context_length(settings: dict[str, Any], model_dir: Path) -> int:
    """Tokens that the model was made for; with LongRoPE those of its short factors.

    LongRoPE's graph takes its long factors for every sequence of a step as soon as one of them is longer, so
    that somebody else's conversation would change an answer, and KV written before would not fit.
    """
    text = _text_settings(settings)
    original = _longrope_context(text)
    lengths = [original, *(text.get(key) for key in _CONTEXT_KEYS)]
    if found := next(filter(_is_length, lengths), None):
        return found
    if text.get("model_type") in _ENDLESS or text.get("alibi"):
        return _ENDLESS_CONTEXT
    raise ModelUnsupported(f"{model_dir / 'config.json'} does not say how long the context is.")


def _longrope_context(text: dict[str, Any]) -> Any:
    """Tokens that LongRoPE's short factors are for, where the model has them."""
    scaling = text.get("rope_scaling") or text.get("rope_parameters")
    if (
        not isinstance(scaling, dict)
        or scaling.get("rope_type", scaling.get("type")) not in _LONGROPE
    ):
        return None
    key = "original_max_position_embeddings"
    return text.get(key, scaling.get(key))


def read_window(settings: dict[str, Any]) -> int | None:
    """Tokens that some layers look back at most, where the configuration names such a window."""
    text = _text_settings(settings)
    return next(filter(_is_length, (text.get(key) for key in _WINDOW_KEYS)), None)


def _text_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What concerns the text model, which models for images too keep apart."""
    inner = settings.get("text_config")
    return settings | inner if isinstance(inner, dict) else settings


def _is_length(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def read_eos_token_ids(model_dir: Path, settings: dict[str, Any]) -> frozenset[int]:
    """The ids that end a reply, united from generation_config.json, config.json and the tokenizer."""
    generation = model_dir / "generation_config.json"
    chosen = _read_json(generation).get("eos_token_id") if generation.is_file() else None
    ids = read_end_token_ids(model_dir)
    for declared in (chosen, settings.get("eos_token_id")):
        several = declared if isinstance(declared, list) else [declared]
        ids |= {token for token in several if isinstance(token, int) and token >= 0}
    if not ids:
        raise ModelUnsupported(f"{model_dir}: no eos_token_id in its configuration.")
    return frozenset(ids)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ModelNotFound(
            f"{path.parent}: no {path.name} in it. "
            "Export a model with `python -m export SOURCE --out DIR`."
        ) from None
    except ValueError as error:
        raise ModelUnsupported(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelUnsupported(f"{path} does not hold a JSON object.")
    return content
