"""What a client adds to the logits of single tokens. Pure NumPy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.config import require

MOST_BIASES, LARGEST_BIAS = 1024, 100.0
Row = npt.NDArray[np.float32]


def check_biases(biases: object) -> None:
    """Raise ConfigError unless these are pairs of a token id and a number."""
    is_whole = isinstance(biases, tuple) and len(biases) <= MOST_BIASES
    require(
        is_whole and all(_is_bias(one) for one in biases),  # type: ignore[attr-defined]
        f"Biases must be at most {MOST_BIASES} pairs of a token and a number from "
        f"{-LARGEST_BIAS:g} to {LARGEST_BIAS:g}.",
    )


def _is_bias(pair: object) -> bool:
    if not (isinstance(pair, tuple) and len(pair) == 2):
        return False
    token, bias = pair
    is_number = isinstance(bias, int | float) and not isinstance(bias, bool)
    return type(token) is int and token >= 0 and is_number and abs(bias) <= LARGEST_BIAS


class Bias:
    """Adds to logits. biases: (token, what is added); tokens that the model has not are left out."""

    def __init__(self, biases: Sequence[tuple[int, float]], vocab_size: int) -> None:
        known = [(token, bias) for token, bias in biases if token < vocab_size]
        self._tokens = np.array([token for token, _ in known], np.intp)
        self._added = np.array([bias for _, bias in known], np.float32)

    def apply(self, logits: Row) -> Row:
        """A copy of logits [vocab] with the biases."""
        logits = logits.copy()
        logits[self._tokens] += self._added
        return logits
