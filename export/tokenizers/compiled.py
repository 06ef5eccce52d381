"""Writes a tokenizer into a model directory: OpenVINO models, tokenizer.json and its settings.

The only module here that loads transformers and openvino_tokenizers, and only when called. Special
tokens are never added while encoding: the chat template owns BOS and every other mark.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from export.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from export.tokenizers.source import TokenizerSource

TOKENIZER_FILE = "openvino_tokenizer.xml"
DETOKENIZER_FILE = "openvino_detokenizer.xml"


def write(source: TokenizerSource, out_dir: Path) -> None:
    """Write the tokenizer's files into `out_dir`, which must exist.

    openvino_tokenizer and openvino_detokenizer (.xml, .bin), tokenizer.json, tokenizer_config.json
    and, where the model has one, chat_template.jinja. Raises ExportError.
    """
    write_compiled(source, out_dir)
    source.tokenizer.save(str(out_dir / "tokenizer.json"))
    _write_text(out_dir / "tokenizer_config.json", json.dumps(_config(source), indent=2))
    if source.chat_template is not None:
        _write_text(out_dir / "chat_template.jinja", source.chat_template)


def write_compiled(source: TokenizerSource, out_dir: Path) -> None:
    """Write the two OpenVINO models alone."""
    # Else transformers prints that PyTorch is missing, which is how it should be.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    import openvino  # noqa: PLC0415 - seconds to load, not needed to read a tokenizer
    import openvino_tokenizers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    fast = PreTrainedTokenizerFast(
        tokenizer_object=source.tokenizer,
        bos_token=source.bos_token,
        eos_token=source.eos_token,
        pad_token=source.pad_token,
        unk_token=source.unk_token,
        clean_up_tokenization_spaces=False,
    )
    try:
        encode, decode = openvino_tokenizers.convert_tokenizer(
            fast, with_detokenizer=True, add_special_tokens=False
        )
    except Exception as error:  # the converter raises many kinds
        raise ExportError(
            f"the tokenizer cannot be compiled for OpenVINO: {error}. Please report the model's name."
        ) from error
    openvino.save_model(encode, out_dir / TOKENIZER_FILE)
    openvino.save_model(decode, out_dir / DETOKENIZER_FILE)


def _config(source: TokenizerSource) -> dict[str, Any]:
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{name: getattr(source, name) for name in names},
        "added_tokens_decoder": _added_tokens(source.tokenizer),
    }


def _added_tokens(tokenizer: Tokenizer) -> dict[str, dict[str, Any]]:
    return {
        str(index): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for index, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
