"""A batch as the NumPy arrays that a paged forward takes.

Pure: no OpenVINO, nothing is kept. Names are those of the paged-attention transformation, plus
`logit_indices`, the rows of the packed tokens whose logits are wanted. Those that begin with `la.` are there
for models that have a state beside the KV.
"""

from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from engine.scheduling import Batch, Sequence

Inputs = dict[str, npt.NDArray[np.int64] | npt.NDArray[np.int32]]
INPUT_NAMES = (
    "input_ids",
    "position_ids",
    "past_lens",
    "subsequence_begins",
    "block_indices",
    "block_indices_begins",
    "max_context_len",
    "logit_indices",
    "la.block_indices",
    "la.block_indices_begins",
    "la.past_lens",
    "la.cache_interval",
)


def build_inputs(batch: Batch) -> Inputs:
    """Arrays for one forward over `batch`.

    input_ids, position_ids: [tokens] int64, the scheduled tokens of all sequences, packed.
    past_lens: [sequences] int32; subsequence_begins: [sequences + 1] int32.
    block_indices: [blocks] int32, all block tables in a row; block_indices_begins: [sequences + 1].
    max_context_len: [] int32. logit_indices: [rows] int64, the last token of each sequence that
    this step completes, and its guesses.
    """
    sequences = batch.sequences
    past = [s.num_cached_tokens for s in sequences]
    counts = [s.num_scheduled_tokens for s in sequences]
    begins = [0, *accumulate(counts)]
    ends = [p + c for p, c in zip(past, counts, strict=True)]
    positions = chain.from_iterable(map(range, past, ends))
    inputs: Inputs = {
        "input_ids": np.array([t for s in sequences for t in s.scheduled_tokens], np.int64),
        "position_ids": np.fromiter(positions, np.int64, begins[-1]),
        "past_lens": np.array(past, np.int32),
        "subsequence_begins": np.array(begins, np.int32),
        "block_indices": np.array([b for s in sequences for b in s.block_table], np.int32),
        "block_indices_begins": np.array(
            [0, *accumulate(len(s.block_table) for s in sequences)], np.int32
        ),
        "max_context_len": np.array(max(ends), np.int32),
        "logit_indices": np.array(
            [
                row
                for end, s in zip(begins[1:], sequences, strict=True)
                for row in range(end - s.num_rows, end)
            ],
            np.int64,
        ),
    }
    return inputs | _state_inputs(sequences) if sequences[0].states.step else inputs


def _state_inputs(sequences: list[Sequence]) -> Inputs:
    """What a step does with states.

    la.block_indices: [states] int32, for each sequence the one that is read, then those that are written;
    la.block_indices_begins: [sequences + 1]. la.past_lens: [sequences], tokens that are in the state that is read.
    la.cache_interval: [sequences], never 0, at which some kernels write nothing.
    """
    steps = [sequence.states.step for sequence in sequences if sequence.states.step]
    assert len(steps) == len(sequences)
    return {
        "la.block_indices": np.array([b for step in steps for b in step.blocks], np.int32),
        "la.block_indices_begins": np.array(
            [0, *accumulate(len(step.blocks) for step in steps)], np.int32
        ),
        "la.past_lens": np.array([s.num_cached_tokens for s in sequences], np.int32),
        "la.cache_interval": np.array([step.interval for step in steps], np.int32),
    }
