"""Compiled tokenizers that came with a model: replaced where they are not what tokenizer.json says.

OpenVINO's own conversion knows neither whole words (`ignore_merges`, Llama 3) nor that bytes which
people spell are text. Only for directories that are this project's own.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import openvino as ov

from export.errors import ExportError
from export.tokenizers.agreement import differences, texts_for
from export.tokenizers.compiled import (
    COMPILED_FILES,
    DETOKENIZER_FILE,
    TOKENIZER_FILE,
    model_type,
    write_compiled,
)
from export.tokenizers.directory import from_directory
from export.tokenizers.source import TokenizerSource

log = logging.getLogger(__name__)


def replace_inexact(model_dir: Path) -> None:
    """Compile the tokenizer of `model_dir` anew where the one in it gives other ids or another text.

    What cannot be compiled here stays as it is, and a warning says so.
    """
    if not (model_dir / "tokenizer.json").is_file():
        return
    try:
        source = from_directory(model_dir, model_type(model_dir))
        if _is_exact(source, model_dir):
            return
        with tempfile.TemporaryDirectory(dir=model_dir, prefix=".tokenizer-") as folder:
            write_compiled(source, Path(folder))
            for (
                name
            ) in COMPILED_FILES:  # a link to a hub client's cache is replaced, not written to
                (Path(folder) / name).replace(model_dir / name)
    except ExportError as error:
        log.warning("The model's compiled tokenizer is not what its tokenizer.json says: %s", error)


def _is_exact(source: TokenizerSource, model_dir: Path) -> bool:
    texts = texts_for(source.tokenizer)
    encode, decode = (
        ov.Core().read_model(model_dir / name) for name in (TOKENIZER_FILE, DETOKENIZER_FILE)
    )
    try:
        return not differences(source.tokenizer, encode, decode, texts)
    except RuntimeError:  # whatever OpenVINO finds wrong with it
        return False
