"""Writes a tokenizer into a model directory: OpenVINO models, tokenizer.json and its settings.

The only module here that loads transformers and openvino_tokenizers, and only when called. Special
tokens are never added while encoding: the chat template owns BOS and every other mark.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import ExportError
from export.tokenizers.directory import from_directory, read_json
from export.tokenizers.pretokenizers import explicit_passes

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from export.tokenizers.source import TokenizerSource

TOKENIZER_FILE = "openvino_tokenizer.xml"
DETOKENIZER_FILE = "openvino_detokenizer.xml"
COMPILED_FILES = tuple(
    f"openvino_{kind}{suffix}"
    for kind in ("tokenizer", "detokenizer")
    for suffix in (".xml", ".bin")
)


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
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    from export.tokenizers.agreement import check  # noqa: PLC0415
    from export.tokenizers.conversion import convert  # noqa: PLC0415

    fast = PreTrainedTokenizerFast(
        tokenizer_object=explicit_passes(source.tokenizer),
        bos_token=source.bos_token,
        eos_token=source.eos_token,
        pad_token=source.pad_token,
        unk_token=source.unk_token,
        chat_template=source.chat_template,  # OpenVINO GenAI looks for it in the compiled model
        clean_up_tokenization_spaces=False,
    )
    try:
        encode, decode = convert(fast)
    except Exception as error:  # the converter raises many kinds
        raise ExportError(
            f"The tokenizer cannot be compiled for OpenVINO: {error}. Please report the model's name."
        ) from error
    check(source.tokenizer, encode, decode)
    openvino.save_model(encode, out_dir / TOKENIZER_FILE)
    openvino.save_model(decode, out_dir / DETOKENIZER_FILE)


def ensure_compiled(model_dir: Path) -> None:
    """Make the compiled tokenizer of an OpenVINO model directory that comes without one.

    Files that are there already stay as they are. Raises ExportError.
    """
    if all((model_dir / name).is_file() for name in COMPILED_FILES):
        return
    source = from_directory(model_dir, model_type(model_dir))
    try:
        with tempfile.TemporaryDirectory(dir=model_dir, prefix=".tokenizer-") as folder:
            write(source, Path(folder))
            _add_missing(Path(folder), model_dir)
    except OSError as error:
        raise ExportError(
            f"{model_dir} has no compiled tokenizer and none can be written there ({error}); "
            "copy the model to a folder that you may write to."
        ) from error


def _add_missing(folder: Path, model_dir: Path) -> None:
    # The compiled files belong together, so all of them are replaced, weights before graphs.
    for file in sorted(folder.iterdir()):
        if file.name in COMPILED_FILES or not (model_dir / file.name).exists():
            file.replace(model_dir / file.name)


def model_type(model_dir: Path) -> str:
    """That of config.json, empty where it says none."""
    file = model_dir / "config.json"
    return str(read_json(file).get("model_type", ""))


def _config(source: TokenizerSource) -> dict[str, Any]:
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    more = list(source.additional_special_tokens)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{name: getattr(source, name) for name in names},
        "completion_prefix": source.completion_prefix,  # ours: what a raw completion starts with
        **({"additional_special_tokens": more} if more else {}),
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
