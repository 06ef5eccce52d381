"""One forward over a batch: block copies, arrays, model, and how long the model took.

Owns: the time spent in the model. Does not know: whose batch it is (a step's, a warm-up's, a
verification's), or what follows from the logits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.model.batch import Inputs, build_inputs
from engine.scheduling import Batch

Logits = npt.NDArray[np.float32]


class ForwardModel(Protocol):
    """What the engine needs of a model: one step over named inputs.

    has_single_token_graph: steps of a single token run in a graph of their own.
    """

    vocab_size: int
    has_single_token_graph: bool

    def forward(self, inputs: Inputs) -> Logits:
        """Logits [rows, vocab] of the rows in inputs["logit_indices"]."""


@dataclass(slots=True)
class Runner:
    """Runs batches. busy_s: seconds inside the model's forward since the start.

    observers: are told of each batch and its seconds.
    """

    model: ForwardModel
    copy_block: Callable[[int, int], None]
    busy_s: float = 0.0
    observers: list[Callable[[Batch, float], object]] = field(default_factory=list)

    def run(self, batch: Batch) -> Logits:
        """Logits [rows, vocab] of the sequences that need them, valid until the next run."""
        for source, target in batch.copies:
            self.copy_block(source, target)
        inputs = build_inputs(batch)
        began_at = time.perf_counter()
        logits = self.model.forward(inputs)
        seconds = time.perf_counter() - began_at
        self.busy_s += seconds
        for observe in self.observers:
            observe(batch, seconds)
        return logits
