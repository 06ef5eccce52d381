"""Who computes what next, in whole numbers: blocks, sequences, budgets, guesses, samples.

Does not know tensors, text, threads or files.
"""

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.pace import Pace
from engine.scheduling.prefix_index import PrefixIndex
from engine.scheduling.sampling import Sampler, SamplingParams
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.sequence import Batch, Sequence, Status, common_length
from engine.scheduling.speculation import MAX_REPLIES, NUM_GUESSES, Guesses, StepCosts
from engine.scheduling.token_budget import TokenBudget

__all__ = [
    "MAX_REPLIES",
    "NUM_GUESSES",
    "Batch",
    "BlockPool",
    "Guesses",
    "Pace",
    "PrefixIndex",
    "Sampler",
    "SamplingParams",
    "Scheduler",
    "Sequence",
    "Status",
    "StepCosts",
    "TokenBudget",
    "common_length",
]
