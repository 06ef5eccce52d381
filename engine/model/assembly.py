"""The compiled model with its KV cache and its pool, put together for one configuration.

Owns: how much memory goes to the KV pool, and whether there is enough for a second graph.
"""

from dataclasses import dataclass
from pathlib import Path

from engine.config import COMPARED, EngineConfig
from engine.errors import ConfigError, ModelNotFound
from engine.model.checking import check_once
from engine.model.ir_files import weight_bytes
from engine.model.kv_cache import KVCache, StateTables
from engine.model.model import CompileOptions, Model
from engine.model.model_files import read_settings
from engine.model.runner import Runner
from engine.model.single_token import is_worth_it
from engine.model.threads import available_memory_bytes, usable_cpus
from engine.scheduling import BlockPool, state_pool

_MAX_DEFAULT_BUDGET = 4 << 30
TOKENS_A_STATE = 128  # of KV in the budget for each state: a turn of twice as many keeps two
LEAST_STATES = (
    8  # the beginning, one to prove others with, and a few for two who talk at the same time
)
_MEMORY_UNKNOWN = 4 << 30  # what a small machine has, where the system does not say


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can be stepped, with nothing in its KV cache yet.

    states: None where the model has none beside the KV.
    """

    model: Model
    kv_cache: KVCache
    states: StateTables | None
    pool: BlockPool
    runner: Runner
    num_threads: int


def load_model(config: EngineConfig) -> LoadedModel:
    """Read and compile the model, allocate the KV pool. Raises ModelError or ConfigError."""
    options = CompileOptions(
        device=config.device,
        num_threads=config.num_threads or usable_cpus(),
        kv_precision=config.kv_precision,
        precision=config.precision,
        single_token=wants_single_token_graph(config),
    )
    settings = read_settings(config.model_dir)
    check_once(config.model_dir, settings, options.num_threads, compared_file(config))
    model = Model(config.model_dir, options)
    budget, states = kv_budget_bytes(config), None
    if model.state_ports:
        per_state = TOKENS_A_STATE / model.block_size * model.block_bytes
        states = StateTables(
            model.state_ports, states_that_fit(budget, model.state_bytes, int(per_state))
        )
        budget -= states.num_blocks * model.state_bytes
    pool = BlockPool(
        blocks_that_fit(budget, model.block_bytes),
        model.block_size,
        None if states is None else state_pool(states.num_blocks),
    )
    kv_cache = KVCache(model.kv_ports, pool.num_blocks)
    model.bind(*filter(None, (kv_cache, states)))
    runner = Runner(model, kv_cache.copy_block)
    return LoadedModel(model, kv_cache, states, pool, runner, options.num_threads)


def kv_budget_bytes(config: EngineConfig) -> int:
    """Bytes for KV, and for what there is beside it."""
    if config.kv_budget_bytes is not None:
        return config.kv_budget_bytes
    room = available_memory_bytes() or _MEMORY_UNKNOWN
    return min(room // 4, _MAX_DEFAULT_BUDGET)


def states_that_fit(budget: int, state_bytes: int, kv_bytes: int) -> int:
    """States for a part of the budget: one beside `kv_bytes` of KV, and half of it at most.

    Raises ConfigError where that is less than a few conversations need.
    """
    count = max(min(budget // (state_bytes + kv_bytes), budget // 2 // state_bytes), LEAST_STATES)
    if count * state_bytes >= budget:
        raise ConfigError(
            f"The KV budget of {budget:,} bytes does not hold {LEAST_STATES} states of this model's "
            f"recurrent layers ({LEAST_STATES * state_bytes:,} bytes) with KV beside them; give it more."
        )
    return count


def blocks_that_fit(budget: int, block_bytes: int) -> int:
    """Blocks of the KV pool. Raises ConfigError if the budget does not hold a single one."""
    if budget < block_bytes:
        raise ConfigError(
            f"The KV budget of {budget:,} bytes does not hold one block of this model "
            f"({block_bytes:,} bytes); give it more."
        )
    return budget // block_bytes


def wants_single_token_graph(config: EngineConfig) -> bool:
    """Whether steps of a single token are to have a graph of their own."""
    if config.single_token_graph is not None:
        return config.single_token_graph
    try:
        weights = weight_bytes(config.model_dir)
    except ModelNotFound:  # what is missing is told when the model is read
        return False
    room = available_memory_bytes() or _MEMORY_UNKNOWN
    return config.device == "CPU" and is_worth_it(weights, room)


def compared_file(config: EngineConfig) -> Path | None:
    """Where it is remembered which models were compared; None: nowhere."""
    if config.compared is None and config.data_dir is not None:
        return config.data_dir / COMPARED
    return config.compared
