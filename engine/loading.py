"""From an EngineConfig to a core that is ready to step.

Owns: reading the model directory's JSON files and the size of the KV pool. Runs once, in the
engine's thread; raises ModelError or ConfigError with what to do next.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.block_pool import BlockPool
from engine.chat_template import read_chat_template
from engine.config import EngineConfig
from engine.core import EngineCore
from engine.errors import ConfigError, ModelNotFound, ModelUnsupported
from engine.kv_cache import KVCache
from engine.model import CompileOptions, Model
from engine.prompt import PromptBuilder
from engine.scheduler import Scheduler
from engine.session import SessionTable
from engine.threads import available_memory_bytes, usable_cpus
from engine.tokenizer import Tokenizer
from engine.warm_up import likely_shapes

_MAX_DEFAULT_BUDGET = 4 << 30
_MEMORY_UNKNOWN = 4 << 30  # what a small machine has, where the system does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """What a loaded model is. context_length: tokens that one conversation can hold here."""

    name: str
    context_length: int
    has_chat_template: bool
    kv_precision: str
    kv_block_bytes: int
    num_blocks: int
    block_size: int
    num_threads: int


def load(config: EngineConfig, sessions: SessionTable) -> tuple[EngineCore, ModelInfo]:
    """Read and compile the model, allocate the KV pool, put the core together."""
    model_dir = config.model_dir
    settings = read_json(model_dir / "config.json")
    options = CompileOptions(
        device=config.device,
        num_threads=config.num_threads or usable_cpus(),
        kv_precision=config.kv_precision,
    )
    tokenizer = Tokenizer(model_dir)
    template = read_chat_template(model_dir)
    model = Model(model_dir, options)
    num_blocks = blocks_that_fit(config, model.block_bytes)
    kv_cache = KVCache(model.kv_ports, num_blocks)
    model.bind(kv_cache)
    context_length = min(_context_length(settings, model_dir), num_blocks * model.block_size)
    pool = BlockPool(num_blocks, model.block_size)
    scheduler = Scheduler(
        pool,
        max_num_sequences=config.max_num_sequences,
        max_num_batched_tokens=config.max_num_batched_tokens,
        max_prefill_beside_decode=config.max_prefill_beside_decode,
        reclaim=lambda count: sessions.reclaim(count, pool),
    )
    core = EngineCore(
        model=model,
        copy_block=kv_cache.copy_block,
        pool=pool,
        scheduler=scheduler,
        sessions=sessions,
        prompts=PromptBuilder(tokenizer, template, context_length),
        tokenizer=tokenizer,
        eos_token_ids=_eos_token_ids(model_dir, settings),
        context_length=context_length,
        warm_up_shapes=likely_shapes(config.max_num_sequences) if config.warm_up else (),
    )
    info = ModelInfo(
        name=model_dir.name,
        context_length=context_length,
        has_chat_template=template is not None,
        kv_precision=config.kv_precision,
        kv_block_bytes=model.block_bytes,
        num_blocks=num_blocks,
        block_size=model.block_size,
        num_threads=options.num_threads,
    )
    return core, info


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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ModelNotFound or ModelUnsupported."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelNotFound(
            f"{path.parent}: no {path.name} in it. "
            "Export a model with `python -m export SOURCE --out DIR`."
        ) from None
    except ValueError as error:
        raise ModelUnsupported(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelUnsupported(f"{path} does not hold a JSON object.")
    return content


def _context_length(settings: dict[str, Any], model_dir: Path) -> int:
    for key in ("max_position_embeddings", "seq_length", "n_positions"):
        if isinstance(value := settings.get(key), int) and value > 0:
            return value
    raise ModelUnsupported(f"{model_dir / 'config.json'} does not say how long the context is.")


def _eos_token_ids(model_dir: Path, settings: dict[str, Any]) -> frozenset[int]:
    """The ids that end a reply: generation_config.json's, else config.json's."""
    generation = model_dir / "generation_config.json"
    chosen = read_json(generation).get("eos_token_id") if generation.is_file() else None
    chosen = settings.get("eos_token_id") if chosen is None else chosen
    if chosen is None:
        raise ModelUnsupported(f"{model_dir}: no eos_token_id in its configuration.")
    return frozenset(chosen if isinstance(chosen, list) else [chosen])
