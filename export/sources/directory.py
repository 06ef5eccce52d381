"""A Hugging Face model folder: config.json and weights as safetensors or torch .bin, sharded or not.

safetensors are preferred where both are there. An index names the shards; one that is missing is
said by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export import artifacts
from export.errors import ExportError
from export.sources.checkpoint import Checkpoint, Config
from export.sources.quantized import assembled, quantization_of
from export.sources.safetensors import read_safetensors
from export.sources.text_part import text_part
from export.sources.torch_zip import read_torch_zip
from export.tensors import StoredTensor

SINGLE_SAFETENSORS = "model.safetensors"
SINGLE_BIN = "pytorch_model.bin"
# What torch.compile and data-parallel training put in front of every name.
WRAPPED = re.compile(r"^((_orig_mod|module)\.)+")
Reader = Callable[[Path], dict[str, StoredTensor]]


def open_directory(folder: Path) -> Checkpoint:
    """Map a folder's checkpoint; raises ExportError for what is missing or damaged."""
    _refuse_other_folders(folder)
    config = read_json(folder / "config.json")
    paths, read = _weight_files(folder)
    tensors: dict[str, StoredTensor] = {}
    for path in paths:
        tensors |= {WRAPPED.sub("", name): tensor for name, tensor in read(path).items()}
    tensors = assembled(tensors, quantization_of(folder, config, read_json), folder)
    config, tensors = text_part(config, tensors)
    generation = folder / "generation_config.json"
    return Checkpoint(
        folder, config, tensors, read_json(generation) if generation.is_file() else {}
    )


def read_json(path: Path) -> Config:
    """A JSON object; raises ExportError if it is none."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise ExportError(f"{path} is not valid JSON; download it again.") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} holds no settings; download it again.")
    return content


def _refuse_other_folders(folder: Path) -> None:
    if artifacts.is_model_directory(folder):
        raise ExportError(
            f"{folder} is an OpenVINO model already; use it as it is: python app.py --model {folder}."
        )
    if (folder / "adapter_config.json").is_file():
        raise ExportError(f"{folder} holds a LoRA adapter; merge it into its base model first.")
    if not (folder / "config.json").is_file():
        raise ExportError(
            f"{folder} has no config.json, so it is not a model folder; check the path."
        )


def _weight_files(folder: Path) -> tuple[list[Path], Reader]:
    choices: list[tuple[str, Reader]] = [
        (SINGLE_SAFETENSORS, read_safetensors),
        (SINGLE_BIN, read_torch_zip),
    ]
    for single, read in choices:
        if (folder / f"{single}.index.json").is_file():
            return _shards(folder / f"{single}.index.json"), read
        if (folder / single).is_file():
            return [folder / single], read
    if loose := sorted(folder.glob("*.safetensors")):
        return loose, read_safetensors
    raise ExportError(
        f"{folder} holds no weights ({SINGLE_SAFETENSORS}, {SINGLE_BIN} or their shards); "
        "download the model again, all its files included."
    )


def _shards(index: Path) -> list[Path]:
    weight_map: Any = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ExportError(f"{index} lists no weights; download it again.")
    paths = [index.parent / str(name) for name in sorted(set(weight_map.values()))]
    for path in paths:
        if not path.is_file() or path.parent != index.parent:
            raise ExportError(
                f"{index.parent} lacks the shard {path.name}; download the model again."
            )
    return paths
