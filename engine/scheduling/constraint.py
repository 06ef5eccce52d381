"""What a grammar says of the next token, as the sampler asks it. Does not know which grammar."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Constraint(Protocol):
    """Bounds one reply, token by token."""

    def restrict(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits [vocab] of the next token, minus infinity where it may not be; a copy, or as they are."""

    def take(self, token: int) -> None:
        """The reply goes on with `token`, which was allowed."""

    def num_valid(self, guesses: Sequence[int]) -> int:
        """How many of these tokens may come next, one behind the other."""
