"""Who computes what next, in whole numbers: blocks, sequences, budgets, guesses, samples.

Does not know tensors, text, threads or files.
"""

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.checkpoints import (
    BEGINNING,
    Checkpoint,
    Checkpoints,
    StateStep,
    state_pool,
)
from engine.scheduling.pace import Pace
from engine.scheduling.prefix_index import PrefixIndex
from engine.scheduling.sampling import Sampler, SamplingParams
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.sequence import Batch, Sequence, Status, common_length
from engine.scheduling.speculation import MAX_REPLIES, NUM_GUESSES, Guesses, StepCosts
from engine.scheduling.token_budget import TokenBudget

__all__ = [
    "BEGINNING",
    "MAX_REPLIES",
    "NUM_GUESSES",
    "Batch",
    "BlockPool",
    "Checkpoint",
    "Checkpoints",
    "Guesses",
    "Pace",
    "PrefixIndex",
    "Sampler",
    "SamplingParams",
    "Scheduler",
    "Sequence",
    "StateStep",
    "Status",
    "StepCosts",
    "TokenBudget",
    "common_length",
    "state_pool",
]
