"""What a model directory's JSON files say: context length, end-of-turn tokens, completion prefix.

Reads only; raises ModelNotFound or ModelUnsupported with what to do next.
"""

import json
from pathlib import Path
from typing import Any

from engine.errors import ModelNotFound, ModelUnsupported


def read_settings(model_dir: Path) -> dict[str, Any]:
    """config.json."""
    return _read_json(model_dir / "config.json")


def read_context_length(settings: dict[str, Any], model_dir: Path) -> int:
    """Tokens that the model was made for."""
    for key in ("max_position_embeddings", "seq_length", "n_positions"):
        if isinstance(value := settings.get(key), int) and value > 0:
            return value
    raise ModelUnsupported(f"{model_dir / 'config.json'} does not say how long the context is.")


def read_eos_token_ids(model_dir: Path, settings: dict[str, Any]) -> frozenset[int]:
    """The ids that end a reply: generation_config.json's, else config.json's."""
    generation = model_dir / "generation_config.json"
    chosen = _read_json(generation).get("eos_token_id") if generation.is_file() else None
    chosen = settings.get("eos_token_id") if chosen is None else chosen
    if chosen is None:
        raise ModelUnsupported(f"{model_dir}: no eos_token_id in its configuration.")
    return frozenset(chosen if isinstance(chosen, list) else [chosen])


def read_completion_prefix(model_dir: Path) -> str:
    """Special text in front of a plain completion, such as Llama 2's <s>; usually nothing."""
    config = model_dir / "tokenizer_config.json"
    return str(_read_json(config).get("completion_prefix") or "") if config.is_file() else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
