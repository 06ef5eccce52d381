"""What every source yields: a configuration in Hugging Face's words and memory-mapped tensors.

Tensor names are the file's own for Hugging Face layouts and canonical (export.spec) for GGUF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.tensors import StoredTensor

Config = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """An opened model; `path` is its GGUF file or its directory."""

    path: Path
    config: Config
    tensors: dict[str, StoredTensor] = field(repr=False)
    generation: Config = field(default_factory=dict)
    gguf_reader: Any = None

    @property
    def is_quantized(self) -> bool:
        """Whether matrices come as codes or in 8 bits."""
        return self.is_gguf or any(tensor.compound for tensor in self.tensors.values())

    @property
    def is_gguf(self) -> bool:
        """Whether names are canonical and the tokenizer is in the file's metadata."""
        return self.gguf_reader is not None
