"""Bits that say which tokens are allowed, and logits in which the others have no chance."""

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Row = npt.NDArray[np.float32]

# Of each byte: what its eight tokens' logits get. 20 times quicker than unpacking the bits.
_ADDED = np.where(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"),
    np.float32(0),
    np.float32(-np.inf),
)


def masked(logits: Row, bits: Bits) -> Row:
    """A copy of logits [vocab], minus infinity where bits [ceil(vocab / 8) or more] has a zero."""
    added: Row = np.take(_ADDED, bits[: -(-logits.size // 8)], axis=0).reshape(-1)
    allowed: Row = logits + added[: logits.size]
    return allowed


def allow(bits: Bits, token: int) -> None:
    """Allow one token more."""
    bits[token // 8] |= 1 << token % 8
