"""From an EngineConfig to a core that is ready to step.

Owns: how the parts fit together, and the size of the KV pool. Runs once, in the engine's thread;
raises ModelError or ConfigError with what to do next.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import openvino as ov

from engine.config import EngineConfig
from engine.conversations import Journal, SessionTable
from engine.errors import ConfigError
from engine.model import (
    CompileOptions,
    KVCache,
    Model,
    Runner,
    WarmUp,
    available_memory_bytes,
    is_worth_it,
    likely_shapes,
    read_completion_prefix,
    read_context_length,
    read_eos_token_ids,
    read_settings,
    usable_cpus,
)
from engine.scheduling import BlockPool, Pace, Scheduler, StepCosts, TokenBudget
from engine.text import Renderer, Tokenizer, read_chat_template
from engine.tiers import (
    Disk,
    Fingerprint,
    KeyRotation,
    Move,
    Prefixes,
    Shift,
    SnapshotFolder,
    SnapshotRefused,
    Tiers,
    Transfer,
    fingerprint_of,
    read_inv_freq,
)
from engine.turns import Ahead, CoreParts, EngineCore, Idle, Opening, PromptBuilder, Sharing, Titles

log = logging.getLogger(__name__)

_MAX_DEFAULT_BUDGET = 4 << 30
_MEMORY_UNKNOWN = 4 << 30  # what a small machine has, where the system does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """What a loaded model is. context_length: tokens that one conversation can hold here.

    can_think: the template option `enable_thinking` has a meaning.
    """

    name: str
    context_length: int
    has_chat_template: bool
    kv_precision: str
    kv_block_bytes: int
    num_blocks: int
    block_size: int
    num_threads: int
    can_think: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """What an engine has before its model: sessions, where they are kept, how to wake its thread."""

    sessions: SessionTable
    journal: Journal
    wake: Callable[[], object]


def load(config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
    """Read and compile the model, allocate the KV pool, put the core together."""
    settings = read_settings(config.model_dir)
    options = CompileOptions(
        device=config.device,
        num_threads=config.num_threads or usable_cpus(),
        kv_precision=config.kv_precision,
        precision=config.precision,
        single_token=wants_single_token_graph(config),
    )
    tokenizer = Tokenizer(config.model_dir)
    template = read_chat_template(config.model_dir)
    model = Model(config.model_dir, options)
    pool = BlockPool(blocks_that_fit(config, model.block_bytes), model.block_size)
    kv_cache = KVCache(model.kv_ports, pool.num_blocks)
    model.bind(kv_cache)
    prefix = read_completion_prefix(config.model_dir)
    renderer = Renderer(tokenizer, template, config.system_prompt, prefix)
    operator_tokens = renderer.operator_tokens()
    # One block is for verifying snapshots.
    usable = pool.num_blocks - 1 - pool.blocks_for(len(operator_tokens))
    context_length = min(
        read_context_length(settings, config.model_dir), max(usable, 1) * pool.block_size
    )
    prompts = PromptBuilder(renderer, context_length)
    fingerprint = read_fingerprint(config, model)
    runner, pace = Runner(model, kv_cache.copy_block), Pace()
    tiers = Tiers(
        pool=pool,
        transfer=Transfer(pool, kv_cache, runner.run),
        sessions=home.sessions,
        pace=pace,
        block_bytes=model.block_bytes,
        disk=open_disk(config, fingerprint, home.wake),
    )
    shapes = likely_shapes(config.max_num_sequences) if config.warm_up else []
    core = assemble(
        config,
        home,
        runner=runner,
        tiers=tiers,
        prompts=prompts,
        tokenizer=tokenizer,
        eos_token_ids=read_eos_token_ids(config.model_dir, settings),
        context_length=context_length,
        warm_up=WarmUp(runner.run, pool, shapes),
        fingerprint=fingerprint,
        move=mover(config, model, kv_cache),
    )
    core.parts.opening.prefixes.prepare_operator(operator_tokens, runner, tiers)
    info = ModelInfo(
        name=config.model_dir.name,
        context_length=context_length,
        has_chat_template=template is not None,
        kv_precision=config.kv_precision,
        kv_block_bytes=model.block_bytes,
        num_blocks=pool.num_blocks,
        block_size=pool.block_size,
        num_threads=options.num_threads,
        can_think=template is not None and template.can_think,
    )
    return core, info


def assemble(
    config: EngineConfig,
    home: Home,
    *,
    runner: Runner,
    tiers: Tiers,
    prompts: PromptBuilder,
    tokenizer: Tokenizer,
    eos_token_ids: frozenset[int],
    context_length: int,
    warm_up: WarmUp,
    fingerprint: Fingerprint,
    move: Move | None = None,
) -> EngineCore:
    """A core from parts that do not know each other yet; nothing here needs OpenVINO."""
    pool = tiers.pool
    shift = Shift(pool, move)
    budget = TokenBudget(
        config.max_num_batched_tokens, config.max_prefill_beside_decode, pool.block_size
    )
    costs = StepCosts(apart=runner.model.has_single_token_graph)
    runner.observers += [budget.observe, tiers.pace.observe]
    if config.speculation:
        runner.observers.append(costs.observe)
    scheduler = Scheduler(
        pool,
        budget=budget,
        max_num_sequences=config.max_num_sequences,
        reclaim=tiers.reclaim,
        max_queue=config.max_queue,
    )
    opening = Opening(
        pool=pool,
        prompts=prompts,
        prefixes=Prefixes(pool),
        journal=home.journal,
        pace=tiers.pace,
        shift=shift,
        vocab_size=runner.model.vocab_size,
    )
    ahead = Ahead(scheduler, runner)
    idle = Idle(
        warm_up=warm_up,
        ahead=ahead,
        tiers=tiers,
        prompts=prompts,
        prefixes=opening.prefixes,
        shift=shift,
        titles=Titles(
            scheduler=scheduler,
            runner=runner,
            prompts=prompts,
            tokenizer=tokenizer,
            eos_token_ids=eos_token_ids,
            journal=home.journal,
            pool=pool,
            is_on=config.titles and prompts.has_template,
        ),
    )
    return EngineCore(
        CoreParts(
            runner=runner,
            pool=pool,
            scheduler=scheduler,
            sessions=home.sessions,
            opening=opening,
            tiers=tiers,
            idle=idle,
            journal=home.journal,
            sharing=Sharing(tiers, home.journal, fingerprint, runner.model.vocab_size),
            costs=costs,
            tokenizer=tokenizer,
            eos_token_ids=eos_token_ids,
            context_length=context_length,
        )
    )


def wants_single_token_graph(config: EngineConfig) -> bool:
    """Whether steps of a single token are to have a graph of their own."""
    if config.single_token_graph is not None:
        return config.single_token_graph
    try:
        weights = (config.model_dir / "openvino_model.bin").stat().st_size
    except OSError:  # what is missing is told when the model is read
        return False
    room = available_memory_bytes() or _MEMORY_UNKNOWN
    return config.device == "CPU" and is_worth_it(weights, room)


def mover(config: EngineConfig, model: Model, kv_cache: KVCache) -> Move | None:
    """What moves KV after an overflow, if it is wanted. Raises ModelUnsupported."""
    if config.overflow != "shift":
        return None
    rotation = KeyRotation(model.kv_ports, read_inv_freq(config.model_dir))
    return lambda table, targets, cut: rotation.move(kv_cache, table, targets, cut)


def read_fingerprint(config: EngineConfig, model: Model) -> Fingerprint:
    """What KV of this model depends on."""
    layout = f"{len(model.kv_ports)} tensors, first {model.kv_ports[0]}"
    precision = f"{config.kv_precision}/{config.precision}"
    return fingerprint_of(config.model_dir, precision, layout, ov.get_version())


def open_disk(
    config: EngineConfig, fingerprint: Fingerprint, wake: Callable[[], object]
) -> Disk | None:
    """The folder for KV, if there is one to be had; without it evicted KV is re-prefilled."""
    if config.data_dir is None:
        return None
    try:
        # A folder for each model: snapshots of another one are deleted when they are met.
        folder = SnapshotFolder(
            config.data_dir / "kv" / config.model_dir.name, config.disk_budget_bytes
        )
    except SnapshotRefused as refusal:
        log.warning("KV is not kept on disk: %s", refusal)
        return None
    return Disk(folder, fingerprint, wake)


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
