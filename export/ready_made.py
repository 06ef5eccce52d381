"""OpenVINO models that somebody else exported: taken as they are, completed where a file is missing.

Models of a hub are linked into a model directory of their own; a directory given by its path is used
where it lies. What may be missing is the compiled tokenizer, and config.json beside a GGUF file that
OpenVINO GenAI saved. Files that are there already stay as they are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from export import artifacts
from export.errors import ExportError
from export.sources.gguf_parts import parts_of

LABEL = "ready-made"
_JSON = (artifacts.CONFIG, artifacts.GENERATION_CONFIG, "tokenizer_config.json", "tokenizer.json")


def take(source: Path, folder: Path) -> None:
    """Put the model in `source`, a hub client's cache, into the empty `folder`, and complete it.

    Raises ExportError.
    """
    for path in source.iterdir():
        if path.is_file():
            _link(path.resolve(), folder / path.name)
    complete(folder)
    _make_exact(folder)


def complete(model_dir: Path) -> None:
    """Make what the engine needs beside the model; raises ExportError where that is impossible."""
    from export import tokenizer  # noqa: PLC0415  (slow to import)

    if not (model_dir / artifacts.CONFIG).is_file():
        _read_off_gguf(model_dir)
    tokenizer.ensure_compiled(model_dir)


def _make_exact(folder: Path) -> None:
    """Replace a compiled tokenizer that is not what tokenizer.json says."""
    from export import tokenizer  # noqa: PLC0415  (slow to import)

    tokenizer.replace_inexact(folder)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _read_off_gguf(model_dir: Path) -> None:
    """Add the settings of the GGUF file that lies beside the model."""
    ggufs = sorted(model_dir.glob("*.gguf"))
    if not ggufs or ggufs != parts_of(ggufs[0]):
        raise ExportError(
            f"{model_dir} has no {artifacts.CONFIG}; download it again, all files included, or put "
            "the GGUF file that it was made from (and no other) beside it."
        )
    try:
        with tempfile.TemporaryDirectory(dir=model_dir, prefix=".settings-") as folder:
            _write_settings(ggufs[0], Path(folder))
            for name in (*_JSON, "chat_template.jinja"):
                if (Path(folder) / name).is_file() and not (model_dir / name).exists():
                    (Path(folder) / name).replace(model_dir / name)
    except OSError as error:
        raise ExportError(f"{model_dir} cannot be written: {error.strerror}; copy it.") from error


def _write_settings(gguf: Path, folder: Path) -> None:
    from export import tokenizer  # noqa: PLC0415  (slow to import)
    from export.families import read_decoder  # noqa: PLC0415
    from export.metadata import write_metadata  # noqa: PLC0415
    from export.sources.gguf import open_gguf  # noqa: PLC0415

    checkpoint = open_gguf(gguf)
    source = tokenizer.from_gguf(checkpoint.gguf_reader)
    tokenizer.write(source, folder)
    write_metadata(folder, checkpoint, read_decoder(checkpoint).spec, source.eos_token_ids)
