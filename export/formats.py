"""Which form each weight takes: the choice behind `--weights`.

native keeps GGUF's blocks (int8 where they have no such form, float elements as 16 bits) and the codes of
checkpoints that are quantised already; rounded does so with integer zero-points; fp16, int8 and int4 convert anew, int4 with embedding
and lm_head in int8. Vectors and convolutions stay float32 in every format. What chooses experts stays in 16 bits, and so
do the small matrices that say how much a recurrent state forgets: their errors add up from token to token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from export.blocks import LAYOUTS, BlockCoder
from export.coded import CodedMatrix
from export.errors import ExportError
from export.packing import Coder, Scratch, Weight, dense, pack, usable
from export.quantize import Int4Coder, Int8Coder
from export.spec import EMBEDDING, LM_HEAD
from export.tensors import ELEMENT_DTYPES, Compound, StoredTensor

FORMATS = ("native", "rounded", "fp16", "int8", "int4")
GROUP_SIZES = (128, 64, 32)
# Small, and a choice that falls otherwise is no small error.
GATES = (".mlp.gate.weight", ".mlp.shared_expert_gate.weight")
# Small, and their errors add up from token to token.
FORGETTING = (
    ".linear_attn.in_proj_a.weight",
    ".linear_attn.in_proj_b.weight",
    ".mamba.dt_proj.weight",
)


@dataclass(frozen=True)
class WeightFormat:
    """How matrices are stored in the IR; the last three fields belong to int4.

    `group_size` None takes the largest of GROUP_SIZES that divides each matrix's width.
    """

    name: str
    group_size: int | None = None
    symmetric: bool = False
    scale_search: bool = True

    def __post_init__(self) -> None:
        """Raise ExportError for unknown names and options that the format does not have."""
        if self.name not in FORMATS:
            raise ExportError(
                f"There is no weight format {self.name!r} (there are: {', '.join(FORMATS)})."
            )
        plain = self.group_size is None and not self.symmetric and self.scale_search
        if self.name != "int4" and not plain:
            raise ExportError("Group size, symmetry and scale search belong to int4 alone.")
        if self.group_size is not None and (self.group_size < 16 or self.group_size % 2):
            raise ExportError(f"A group of {self.group_size} is not an even number from 16 on.")

    @property
    def label(self) -> str:
        """The format with its options, as the manifest records it."""
        if self.name != "int4":
            return self.name
        parts = ["int4", f"group{self.group_size or ''}"]
        parts += ["symmetric"] if self.symmetric else []
        return "-".join(parts if self.scale_search else [*parts, "nosearch"])

    def check(self, tensors: Mapping[str, StoredTensor]) -> None:
        """Raise ExportError if the group size does not divide a matrix's width."""
        for name, tensor in tensors.items():
            grouped = len(tensor.shape) == 2 and name not in (EMBEDDING, LM_HEAD)
            if self.group_size and grouped and tensor.shape[1] % self.group_size:
                raise ExportError(
                    f"A group of {self.group_size} does not divide {tensor.name}, which is "
                    f"{tensor.shape[1]} wide; choose another --group-size or leave it out."
                )

    def store(self, name: str, tensor: StoredTensor, scratch: Scratch) -> Weight:
        """The matrix in this format."""
        coder = self._coder(name, tensor)
        if isinstance(coder, CodedMatrix):
            return replace(pack(tensor, coder, scratch), column_order=coder.order)
        if coder is not None:
            return pack(tensor, coder, scratch)
        return dense(tensor, _half(tensor), scratch)

    def _coder(self, name: str, tensor: StoredTensor) -> Coder | None:
        if self.name == "fp16" or name.endswith(GATES):
            return None
        if self.name in ("native", "rounded"):
            return self._block_coder(name, tensor)
        if name.endswith(FORGETTING):
            return None
        if self.name == "int4" and name not in (EMBEDDING, LM_HEAD):
            return self._int4_coder(tensor.shape[1])
        return Int8Coder()

    def _block_coder(self, name: str, tensor: StoredTensor) -> Coder | None:
        if tensor.compound is not None:
            return self._kept(name, tensor.compound)
        if tensor.encoding in ELEMENT_DTYPES:
            return None
        if tensor.encoding in LAYOUTS:
            return BlockCoder(tensor.encoding, rounded=self.name == "rounded")
        return Int8Coder()

    @staticmethod
    def _kept(name: str, compound: Compound) -> Coder | None:
        """The codes as they are; None where 16 bits have to do: for FP8, and to look up rows in any order."""
        if not isinstance(compound, CodedMatrix):
            return None
        return None if name == EMBEDDING and compound.order is not None else compound

    def _int4_coder(self, width: int) -> Coder:
        sizes = [size for size in (self.group_size, *GROUP_SIZES) if size and width % size == 0]
        if not sizes:
            return Int8Coder()
        return Int4Coder(sizes[0], self.symmetric, self.scale_search)


def _half(tensor: StoredTensor) -> str:
    """bfloat16 stays so where it can stay in place; all else becomes float16."""
    in_place = tensor.encoding == "BF16" and tensor.order is None and usable(tensor.stored)
    return "BF16" if in_place else "F16"
