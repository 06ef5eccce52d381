"""What the files beside a compiled tokenizer say of its tokens: which are special, which end a turn.

Checkpoints name the same things in several places, and not all of each: tokenizer_config.json,
tokenizer.json, special_tokens_map.json, added_tokens.json. Here they are united. Knows neither the
compiled tokenizer nor the model's own configuration.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from engine.text.json_files import read_json

# Strings that end a turn wherever a tokenizer has them; the exporter has the same list (a test sees to it).
END_OF_TURN = (
    "<|im_end|>",  # ChatML: Qwen, SmolLM2
    "<|endoftext|>",
    "<|eot_id|>",  # Llama 3
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|return|>",
    "<｜end▁of▁sentence｜>",
)
GLM_END_OF_TURN = ("<|user|>", "<|observation|>")  # GLM opens the next role, and closes none
HARMONY_BETWEEN_MESSAGES = (
    "<|end|>",
)  # gpt-oss closes its thoughts so; its turn ends in <|return|>
_WITH_BOS = (
    "Llama",
    "CodeLlama",
    "Gemma",
)  # classes whose texts begin with BOS unless told otherwise


class AddedToken(NamedTuple):
    """A string that the tokenizer takes as one token wherever it stands.

    is_special: it steers the model and is left out of decoded text; `<think>` of Qwen3 is not.
    """

    id: int
    is_special: bool


def read_added_tokens(model_dir: Path) -> dict[str, AddedToken]:
    """Added tokens by string, from every file in `model_dir` that names some."""
    legacy = read_json(model_dir / "added_tokens.json")
    found = {text: AddedToken(index, True) for text, index in legacy.items() if type(index) is int}
    found |= _parts(model_dir).added
    decoder = read_json(model_dir / "tokenizer_config.json").get("added_tokens_decoder") or {}
    return found | {t["content"]: AddedToken(int(i), _is_special(t)) for i, t in decoder.items()}


def read_end_token_ids(model_dir: Path) -> set[int]:
    """The ids that end a turn, as far as the tokenizer says: its EOS, and the known strings it has."""
    added = read_added_tokens(model_dir)
    known = set(END_OF_TURN) | (set(GLM_END_OF_TURN) if "[gMASK]" in added else set())
    if "<|return|>" in added:
        known -= set(HARMONY_BETWEEN_MESSAGES)
    ids = {added[text].id for text in known if text in added}
    eos = _names(model_dir).get("eos_token")
    if eos in added:
        ids.add(added[eos].id)
    elif eos is not None and (index := _vocabulary(model_dir).get(eos)) is not None:
        ids.add(index)
    return ids


def read_completion_prefix(model_dir: Path) -> str:
    """Special text in front of a plain completion, such as Llama 2's <s>; usually nothing."""
    config = read_json(model_dir / "tokenizer_config.json")
    if (ours := config.get("completion_prefix")) is not None:
        return str(ours)
    bos = _names(model_dir).get("bos_token") or ""
    adds = config.get("add_bos_token")
    if adds is None and not (model_dir / "tokenizer.json").is_file():
        adds = str(config.get("tokenizer_class", "")).startswith(_WITH_BOS)
    prefix = _parts(model_dir).prefix
    if adds is False and prefix == bos:
        return ""
    return prefix or (bos if adds else "")


def read_is_nfc(model_dir: Path) -> bool:
    """Whether the tokenizer brings texts into Unicode's form NFC."""
    return _parts(model_dir).is_nfc


class _Parts(NamedTuple):
    """Of a tokenizer.json: its added tokens, what it puts in front of a text, how it normalises."""

    added: dict[str, AddedToken]
    prefix: str
    is_nfc: bool


def _parts(model_dir: Path) -> _Parts:
    file = model_dir / "tokenizer.json"
    return _read_parts(file, file.stat().st_mtime_ns) if file.is_file() else _Parts({}, "", False)


@lru_cache(maxsize=1)  # megabytes, asked for several times while one model is loaded
def _read_parts(file: Path, _changed_at: int) -> _Parts:
    content = read_json(file)
    tokens = content.get("added_tokens") or []
    added = {t["content"]: AddedToken(int(t["id"]), _is_special(t)) for t in tokens}
    normalizer = content.get("normalizer") or {}
    kinds = [step.get("type") for step in normalizer.get("normalizers", [normalizer])]
    return _Parts(added, _prefix(content.get("post_processor") or {}), kinds == ["NFC"])


def _prefix(post_processor: dict[str, Any]) -> str:
    """The special tokens in front of the text in a TemplateProcessing, wherever it stands."""
    for step in post_processor.get("processors", [post_processor]):
        if step.get("type") != "TemplateProcessing":
            continue
        names = []
        for part in step["single"]:
            if "SpecialToken" not in part:
                break
            names.append(part["SpecialToken"]["id"])
        return "".join(names)
    return ""


def _names(model_dir: Path) -> dict[str, str]:
    """BOS, EOS and the like: tokenizer_config.json's, else special_tokens_map.json's."""
    files = (model_dir / "special_tokens_map.json", model_dir / "tokenizer_config.json")
    found: dict[str, str] = {}
    for names in map(read_json, files):
        for kind in ("bos_token", "eos_token"):
            token = names.get(kind)
            text = token.get("content") if isinstance(token, dict) else token
            if text:
                found[kind] = str(text)
    return found


def _vocabulary(model_dir: Path) -> dict[str, int]:
    vocabulary = (read_json(model_dir / "tokenizer.json").get("model") or {}).get("vocab")
    return vocabulary if isinstance(vocabulary, dict) else {}


def _is_special(token: dict[str, Any]) -> bool:
    return bool(token.get("special", True))
