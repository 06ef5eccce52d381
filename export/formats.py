"""Which form each weight takes: the choice behind `--weights`.

native keeps GGUF's blocks exactly and int8 for what has no exact form; rounded makes zero-points
integers; fp16, int8 and int4 quantize anew (int4 with int8 embedding and lm_head). Vectors stay
float32.
"""

from __future__ import annotations

from dataclasses import dataclass

from export.blocks import LAYOUTS, BlockCoder
from export.errors import ExportError
from export.packing import Coder, Scratch, Weight, dense, pack
from export.quantize import Int8Coder
from export.tensors import ELEMENT_DTYPES, StoredTensor

FORMATS = ("native", "rounded", "int8", "fp16")


@dataclass(frozen=True)
class WeightFormat:
    """How matrices are stored in the IR."""

    name: str

    def __post_init__(self) -> None:
        """Raise ExportError for an unknown name."""
        if self.name not in FORMATS:
            raise ExportError(
                f"There is no weight format {self.name!r} (there are: {', '.join(FORMATS)})."
            )

    def store(self, tensor: StoredTensor, scratch: Scratch) -> Weight:
        """The matrix in this format."""
        coder = self._coder(tensor)
        if coder is not None:
            return pack(tensor, coder, scratch)
        keeps = tensor.encoding in ("F16", "BF16") and tensor.order is None
        return dense(tensor, tensor.encoding if keeps else "F16", scratch)

    def _coder(self, tensor: StoredTensor) -> Coder | None:
        if self.name == "fp16":
            return None
        if self.name in ("native", "rounded"):
            if tensor.encoding in ELEMENT_DTYPES:
                return None
            if tensor.encoding in LAYOUTS:
                return BlockCoder(tensor.encoding, rounded=self.name == "rounded")
        return Int8Coder()
