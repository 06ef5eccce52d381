"""The tensors that one matrix is kept in, checked for what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.sources.quantized.configuration import unsupported_form
from export.tensors import ELEMENT_DTYPES, StoredTensor


@dataclass(frozen=True)
class Parts:
    """Of the matrix `name`, by what stands behind its module's name (qweight, scales, ...)."""

    name: str
    method: str
    tensors: dict[str, StoredTensor]

    def integers(self, part: str, rank: int = 2) -> NDArray[Any]:
        """Packed words or indices, as the file holds them."""
        return self._found(part, rank, "I32", "I64").stored

    def floats(self, part: str, rank: int | None = 2) -> StoredTensor:
        """Scales, in an element encoding."""
        return self._found(part, rank, *ELEMENT_DTYPES)

    def _found(self, part: str, rank: int | None, *encodings: str) -> StoredTensor:
        tensor = self.tensors.get(part)
        if tensor is None:
            raise self.misfit()
        self.expect(rank in (None, len(tensor.shape)), tensor.encoding in encodings)
        return tensor

    def expect(self, *fits: bool) -> None:
        """Raise ExportError unless all is true."""
        if not all(fits):
            raise self.misfit()

    def misfit(self) -> ExportError:
        """The error for parts that are damaged, or of different models."""
        return ExportError(
            f"The quantized parts of {self.name} are not complete or do not fit each other; "
            "download the model again, all its files included."
        )

    def unsupported(self, what: str) -> ExportError:
        """The error for a form that is not read."""
        return unsupported_form(self.method, f"{self.name}: {what}")

    def bits(self, words: int, values: int) -> int:
        """How many bits a value takes of so many words of 32; 4 or 8."""
        for bits in (4, 8):
            if words == -(-values * bits // 32):
                return bits
        raise self.unsupported(f"{32 * words / max(values, 1):g} bits")

    def column_order(self, index: NDArray[Any] | None, groups: int) -> NDArray[np.intp] | None:
        """Columns group by group, from each one's group; None where they are so already.

        An index without any order (all zeros, or -1) was never written and says nothing.
        """
        if index is None or (index == index[0]).all():
            return None
        natural = np.repeat(np.arange(groups), len(index) // groups)
        if np.array_equal(index, natural):
            return None
        order: NDArray[np.intp] = np.argsort(index, kind="stable")
        if not np.array_equal(index[order], natural):
            raise self.unsupported("g_idx")
        return order
