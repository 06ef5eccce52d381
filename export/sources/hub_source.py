"""Which model of a hub is meant, and which of its files are needed, by their names. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch

SOURCE = re.compile(r"([\w.-]+/[\w.-]+?)(/[^@]+\.gguf)?(@[\w./-]+)?")
SMALL_FILES = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
READY_MADE = {"openvino_model.xml", "openvino_language_model.xml"}
# Of a model for images and text, what text alone needs.
_FOR_TEXT = re.compile(
    r"openvino_(model|language_model|text_embeddings_model|(de)?tokenizer)\.(xml|bin)"
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class HubSource:
    """owner/name, a GGUF file in it, and a branch, tag or commit."""

    repository: str
    gguf: str | None = None
    revision: str | None = None


def parse(source: str) -> HubSource | None:
    """`owner/name[/file.gguf][@revision]`, or None if it has another form."""
    match = SOURCE.fullmatch(source)
    if match is None:
        return None
    repository, gguf, revision = match.groups()
    return HubSource(repository, gguf and gguf[1:], revision and revision[1:])


def weight_files(names: list[str], read_text: Callable[[str], str]) -> list[str]:
    """The weights to fetch: ready-made OpenVINO, else safetensors, else torch .bin, else safetensors by other names."""
    if READY_MADE & set(names):
        return [name for name in names if _FOR_TEXT.fullmatch(name)]
    for index, single in zip(INDEXES, SINGLES, strict=True):
        if index in names:
            return sorted(set(json.loads(read_text(index)).get("weight_map", {}).values()))
        if single in names:
            return [single]
    return loose_weights(names)


def loose_weights(names: list[str]) -> list[str]:
    """Safetensors by names of their own, which no index lists: gptq_model-4bit-128g.safetensors and the like."""
    if "config.json" not in names:
        return []
    return sorted(name for name in names if "/" not in name and name.endswith(".safetensors"))


def is_small(name: str) -> bool:
    """Whether a file is of those that any model needs beside its weights."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in SMALL_FILES)
