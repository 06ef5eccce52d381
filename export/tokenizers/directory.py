"""The tokenizer of a Hugging Face folder: tokenizer.json, or a sentencepiece tokenizer.model.

Owns the reading of tokenizer_config.json and its relatives. tokenizer.json is taken as it is:
transformers' AutoTokenizer rebuilds some tokenizers by the model's type and changes their ids.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer

from export.errors import ExportError
from export.templates import builtin_template
from export.tokenizers import chatglm
from export.tokenizers.pieces import fast_tokenizer
from export.tokenizers.sentencepiece_model import SentencePieceModel, read_sentencepiece
from export.tokenizers.source import TokenizerSource, end_of_turn_ids

if TYPE_CHECKING:
    from pathlib import Path

_DEFAULT_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_ATTRIBUTES = ("lstrip", "rstrip", "single_word", "normalized", "special")


def from_directory(path: Path, model_type: str) -> TokenizerSource:
    """Read the tokenizer in `path`; `model_type` is that of config.json. Raises ExportError."""
    config = read_json(path / "tokenizer_config.json")
    names = read_json(path / "special_tokens_map.json") | config
    if (path / "tokenizer.json").is_file():
        tokenizer = _from_tokenizer_json(path / "tokenizer.json")
        prefix = _post_processor_prefix(tokenizer)
    else:
        model = _sentencepiece(path)
        glm = model_type == "chatglm"
        tokenizer = chatglm.chatglm_tokenizer(model) if glm else _plain(model)
        names = _DEFAULT_TOKENS | {name: text for name, text in names.items() if text is not None}
        prefix = chatglm.PROMPT_PREFIX if glm else _content(names["bos_token"]) or ""
    _add_declared_tokens(tokenizer, config, path)
    bos = _content(names.get("bos_token"))
    eos = _content(names.get("eos_token"))
    return TokenizerSource(
        tokenizer=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=_content(names.get("pad_token")),
        unk_token=_content(names.get("unk_token")),
        eos_token_ids=end_of_turn_ids(tokenizer, [_id(tokenizer, eos), *_declared_eos_ids(path)]),
        completion_prefix=_explicit_prefix(config, prefix, bos),
        chat_template=_own_template(path, config) or builtin_template(model_type, path),
    )


def _from_tokenizer_json(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        raise ExportError(f"{file} cannot be read ({error}); fetch it again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _sentencepiece(path: Path) -> SentencePieceModel:
    file = path / "tokenizer.model"
    if not file.is_file():
        raise ExportError(
            f"{path} holds neither tokenizer.json nor tokenizer.model; fetch the model's tokenizer files"
        )
    model = read_sentencepiece(file)
    if model.charsmap or model.remove_extra_spaces:
        raise ExportError(
            f"{file} normalises its text, which is not supported; use a model with a tokenizer.json"
        )
    return model


def _plain(model: SentencePieceModel) -> Tokenizer:
    return fast_tokenizer(model.pieces, space_prefix=model.space_prefix)


def _add_declared_tokens(tokenizer: Tokenizer, config: dict[str, Any], path: Path) -> None:
    """Tokens that only tokenizer_config.json knows; their ids must follow the vocabulary's."""
    present = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    declared = config.get("added_tokens_decoder") or {}
    for index, entry in sorted(declared.items(), key=lambda item: int(item[0])):
        text = entry["content"]
        if text in present:
            continue
        attributes = {name: entry[name] for name in _ATTRIBUTES if name in entry}
        tokenizer.add_tokens([AddedToken(text, **attributes)])
        if tokenizer.token_to_id(text) != int(index):
            raise ExportError(
                f"{path}: tokenizer_config.json says that '{text}' is token {index}, but the "
                f"vocabulary makes it {tokenizer.token_to_id(text)}; fetch the tokenizer files again"
            )


def _post_processor_prefix(tokenizer: Tokenizer) -> str:
    """What the tokenizer puts in front of a text by itself."""
    added = tokenizer.get_added_tokens_decoder()
    return "".join(added[index].content for index in tokenizer.encode("").ids if index in added)


def _explicit_prefix(config: dict[str, Any], prefix: str, bos: str | None) -> str:
    if config.get("add_bos_token") is False and prefix == bos:
        return ""
    return prefix or (bos or "" if config.get("add_bos_token") else "")


def _own_template(path: Path, config: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template") or read_json(path / "chat_template.json").get(
        "chat_template"
    )
    if isinstance(found, list):  # several named ones
        found = next((entry["template"] for entry in found if entry["name"] == "default"), None)
    return found or None


def _declared_eos_ids(path: Path) -> list[int]:
    for name in ("generation_config.json", "config.json"):
        found = read_json(path / name).get("eos_token_id")
        if found is not None:
            return found if isinstance(found, list) else [found]
    return []


def _id(tokenizer: Tokenizer, token: str | None) -> int | None:
    return None if token is None else tokenizer.token_to_id(token)


def _content(token: str | dict[str, Any] | None) -> str | None:
    return token["content"] if isinstance(token, dict) else token


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no such file. Raises ExportError."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{file} is not valid JSON ({error}); fetch it again") from error
    return content if isinstance(content, dict) else {}
