"""The tokenizer of a Hugging Face folder: tokenizer.json, or a sentencepiece tokenizer.model.

Owns the reading of tokenizer_config.json and its relatives. tokenizer.json is taken as it is:
transformers' AutoTokenizer rebuilds some tokenizers by the model's type and changes their ids.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer

from export.errors import ExportError
from export.templates import builtin_template, folder_template
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
    if (path / "tokenizer.json").is_file():
        return _from_tokenizer_json(path, model_type)
    model = _sentencepiece(path)
    if model_type == "chatglm":
        return _chatglm(path, model)
    return _from_sentencepiece(path, model, model_type)


def _from_tokenizer_json(path: Path, model_type: str) -> TokenizerSource:
    tokenizer = _load(path / "tokenizer.json")
    config = read_json(path / "tokenizer_config.json")
    _add_declared_tokens(tokenizer, config, path)
    names = _names(path, config)
    return _source(
        path,
        tokenizer,
        names,
        prefix=_explicit_prefix(names, _post_processor_prefix(tokenizer)),
        template=folder_template(path, config) or builtin_template(model_type, path),
    )


def _from_sentencepiece(path: Path, model: SentencePieceModel, model_type: str) -> TokenizerSource:
    tokenizer = fast_tokenizer(model.pieces, space_prefix=model.space_prefix)
    config = read_json(path / "tokenizer_config.json")
    _add_declared_tokens(tokenizer, config, path)
    names = _DEFAULT_TOKENS | _names(path, config)
    return _source(
        path,
        tokenizer,
        names,
        prefix=_explicit_prefix(names, _content(names["bos_token"]) or ""),
        template=folder_template(path, config) or builtin_template(model_type, path),
    )


def _chatglm(path: Path, model: SentencePieceModel) -> TokenizerSource:
    # What tokenizer_config.json declares is left aside: it spells the special tokens otherwise.
    own = folder_template(path, read_json(path / "tokenizer_config.json"))
    return _source(
        path,
        chatglm.chatglm_tokenizer(model),
        _DEFAULT_TOKENS,
        prefix=chatglm.PROMPT_PREFIX,
        template=chatglm.respell_template(own) if own else builtin_template("chatglm", path),
    )


def _source(
    path: Path, tokenizer: Tokenizer, names: dict[str, Any], *, prefix: str, template: str | None
) -> TokenizerSource:
    kinds = ("bos_token", "eos_token", "pad_token", "unk_token")
    named = {kind: _content(names.get(kind)) for kind in kinds}
    eos = named["eos_token"]
    eos_id = None if eos is None else tokenizer.token_to_id(eos)
    return TokenizerSource(
        tokenizer=tokenizer,
        **named,
        eos_token_ids=end_of_turn_ids(tokenizer, [eos_id, *_declared_eos_ids(path)]),
        completion_prefix=prefix,
        additional_special_tokens=_additional(names),
        chat_template=template,
    )


def _names(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What tokenizer_config.json names, and special_tokens_map.json where that is silent."""
    named = {name: value for name, value in config.items() if value is not None}
    return read_json(path / "special_tokens_map.json") | named


def _additional(names: dict[str, Any]) -> tuple[str, ...]:
    """Special tokens without a part of their own; transformers 5 calls them extra."""
    found = names.get("additional_special_tokens") or names.get("extra_special_tokens") or ()
    listed = found.values() if isinstance(found, dict) else found
    return tuple(text for token in listed if (text := _content(token)) is not None)


def _load(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        raise ExportError(f"{file} cannot be read ({error}); fetch it again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _sentencepiece(path: Path) -> SentencePieceModel:
    file = path / "tokenizer.model"
    if not file.is_file():
        raise ExportError(
            f"{path} holds neither tokenizer.json nor tokenizer.model; fetch the model's tokenizer files."
        )
    model = read_sentencepiece(file)
    if model.charsmap or model.remove_extra_spaces:
        raise ExportError(
            f"{file} normalises its text, which is not supported; use a model with a tokenizer.json."
        )
    return model


def _add_declared_tokens(tokenizer: Tokenizer, config: dict[str, Any], path: Path) -> None:
    """Tokens that only tokenizer_config.json knows, or added_tokens.json, which older folders have.

    Their ids must follow the vocabulary's.
    """
    present = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    legacy = read_json(path / "added_tokens.json")
    declared: dict[str, Any] = {
        str(index): {"content": text, "special": True} for text, index in legacy.items()
    }
    declared |= config.get("added_tokens_decoder") or {}
    for index, entry in sorted(declared.items(), key=lambda item: int(item[0])):
        text = entry["content"]
        if text in present:
            continue
        attributes = {name: entry[name] for name in _ATTRIBUTES if name in entry}
        tokenizer.add_tokens([AddedToken(text, **attributes)])
        if tokenizer.token_to_id(text) != int(index):
            raise ExportError(
                f"{path}: tokenizer_config.json says that '{text}' is token {index}, but the "
                f"vocabulary makes it {tokenizer.token_to_id(text)}; fetch the tokenizer files again."
            )


def _post_processor_prefix(tokenizer: Tokenizer) -> str:
    """What the tokenizer puts in front of a text by itself."""
    added = tokenizer.get_added_tokens_decoder()
    return "".join(added[index].content for index in tokenizer.encode("").ids if index in added)


def _explicit_prefix(names: dict[str, Any], prefix: str) -> str:
    """The prefix after tokenizer_config.json's `add_bos_token`, where that says anything."""
    bos = _content(names.get("bos_token")) or ""
    if names.get("add_bos_token") is False and prefix == bos:
        return ""
    return prefix or (bos if names.get("add_bos_token") else "")


def _declared_eos_ids(path: Path) -> list[int]:
    ids: list[int] = []
    for name in ("generation_config.json", "config.json"):
        found = read_json(path / name).get("eos_token_id")
        several = found if isinstance(found, list) else [found]
        ids += [token for token in several if isinstance(token, int)]
    return ids


def _content(token: str | dict[str, Any] | None) -> str | None:
    return token["content"] if isinstance(token, dict) else token


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no such file. Raises ExportError."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ExportError(f"{file} is not valid JSON ({error}); fetch it again.") from error
    return content if isinstance(content, dict) else {}
