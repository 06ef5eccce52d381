"""The compiled model with its KV cache and its pool, put together for one configuration.

Owns: how much memory goes to the KV pool, and whether there is enough for a second graph.
"""

from dataclasses import dataclass
from pathlib import Path

from engine.config import COMPARED, EngineConfig
from engine.errors import ConfigError, ModelNotFound
from engine.model.checking import check_once
from engine.model.ir_files import weight_bytes
from engine.model.kv_cache import KVCache
from engine.model.model import CompileOptions, Model
from engine.model.model_files import read_settings
from engine.model.runner import Runner
from engine.model.single_token import is_worth_it
from engine.model.threads import available_memory_bytes, usable_cpus
from engine.scheduling import BlockPool

_MAX_DEFAULT_BUDGET = 4 << 30
_MEMORY_UNKNOWN = 4 << 30  # what a small machine has, where the system does not say


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can be stepped, with nothing in its KV cache yet."""

    model: Model
    kv_cache: KVCache
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
    pool = BlockPool(blocks_that_fit(config, model.block_bytes), model.block_size)
    kv_cache = KVCache(model.kv_ports, pool.num_blocks)
    model.bind(kv_cache)
    return LoadedModel(
        model, kv_cache, pool, Runner(model, kv_cache.copy_block), options.num_threads
    )


def blocks_that_fit(config: EngineConfig, block_bytes: int) -> int:
    """Blocks of the KV pool. Raises ConfigError if the budget does not hold a single one."""
    budget = config.kv_budget_bytes
    if budget is None:
        room = available_memory_bytes() or _MEMORY_UNKNOWN
        budget = min(room // 4, _MAX_DEFAULT_BUDGET)
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
