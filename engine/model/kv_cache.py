"""The tensors behind the blocks: key_cache.N and value_cache.N, the paged form of present.N.

Owns: the memory, allocated once for the whole budget, and that of the states which some models have beside
the KV. Does not know: which block belongs to whom.
A block is the same index in every tensor; its bytes are opaque here (u8 blocks carry their scales).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import openvino as ov

from engine.model.pages import fresh_bytes
from engine.scheduling import BEGINNING

RawBlocks = list[npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class KVPort:
    """One cache input of the compiled model: element type and the shape of a single block."""

    name: str
    element_type: ov.Type
    block_shape: tuple[int, ...]

    @property
    def block_bytes(self) -> int:
        """Bytes of one block in this tensor."""
        return int(np.prod(self.block_shape)) * int(self.element_type.size)


class KVCache:
    """The KV tensors of `num_blocks` blocks. Untouched blocks cost no resident memory."""

    def __init__(self, ports: Sequence[KVPort], num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.tensors: Mapping[str, ov.Tensor] = {
            port.name: ov.Tensor(port.element_type, ov.Shape([num_blocks, *port.block_shape]))
            for port in ports
        }
        self._bytes = [_as_bytes(tensor) for tensor in self.tensors.values()]

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of block `source` onto block `target`, in every layer."""
        for rows in self._bytes:
            rows[target] = rows[source]

    def room_for(self, count: int) -> RawBlocks:
        """Memory for the raw bytes of `count` blocks: [count, block bytes] for each tensor."""
        sizes = [count * rows.shape[1] for rows in self._bytes]
        pieces = np.split(fresh_bytes(sum(sizes)), np.cumsum(sizes)[:-1])
        return [piece.reshape(count, -1) for piece in pieces]

    def read_blocks(self, blocks: Sequence[int], out: RawBlocks | None = None) -> RawBlocks:
        """The raw bytes of `blocks`: one [len(blocks), block bytes] array for each tensor.

        out: such arrays, to be filled; None: new ones.
        """
        copies = self.room_for(len(blocks)) if out is None else out
        for rows, copy in zip(self._bytes, copies, strict=True):
            np.take(rows, list(blocks), axis=0, out=copy, mode="clip")  # else `out` is copied too
        return copies

    def write_blocks(self, blocks: Sequence[int], raw: RawBlocks) -> None:
        """Put bytes that `read_blocks` returned into `blocks`."""
        for rows, block_bytes in zip(self._bytes, raw, strict=True):
            rows[list(blocks)] = block_bytes


class StateTables(KVCache):
    """The tensors `*_state_table.N`: a block is the state of all layers behind one token."""

    def __init__(self, ports: Sequence[KVPort], num_blocks: int) -> None:
        super().__init__(ports, num_blocks)
        for rows in self._bytes:
            rows[BEGINNING] = 0


def _as_bytes(tensor: ov.Tensor) -> npt.NDArray[np.uint8]:
    """[blocks, bytes of a block] view of a tensor's memory."""
    rows: npt.NDArray[np.uint8] = tensor.data.view(np.uint8)
    return rows.reshape(rows.shape[0], -1)
