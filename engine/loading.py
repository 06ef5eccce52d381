"""From an EngineConfig to a core that is ready to step, package by package.

Owns: the order, and what one package's parts tell the next. Runs once, in the engine's thread;
raises ModelError or ConfigError with what to do next.
"""

import logging
from dataclasses import dataclass

from engine.config import EngineConfig
from engine.conversations import Home
from engine.grammars import GrammarCompiler, thoughts_of
from engine.model import (
    WarmUp,
    likely_shapes,
    load_model,
    read_context_length,
    read_eos_token_ids,
    read_settings,
)
from engine.text import (
    ChatTemplate,
    Renderer,
    Tokenizer,
    read_chat_template,
    read_completion_prefix,
)
from engine.tiers import make_tiers
from engine.turns import EngineCore, PromptBuilder, assemble

log = logging.getLogger(__name__)


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


def load(config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
    """Read and compile the model, allocate the KV pool, put the core together."""
    settings = read_settings(config.model_dir)
    tokenizer = Tokenizer(config.model_dir)
    template = read_chat_template(config.model_dir, config.chat_template)
    _tell(template, config.system_prompt)
    loaded = load_model(config)
    prefix = read_completion_prefix(config.model_dir)
    renderer = Renderer(tokenizer, template, config.system_prompt, prefix)
    operator_tokens = renderer.operator_tokens()
    runner, pool = loaded.runner, loaded.pool
    # One block is for verifying snapshots.
    usable = pool.num_blocks - 1 - pool.blocks_for(len(operator_tokens))
    context_length = min(
        read_context_length(settings, config.model_dir), max(usable, 1) * pool.block_size
    )
    kv = make_tiers(config, home, loaded)
    end_tokens = read_eos_token_ids(config.model_dir, settings)
    shapes = likely_shapes(config.max_num_sequences) if config.warm_up else []
    core = assemble(
        config,
        home,
        runner=runner,
        tiers=kv.tiers,
        prompts=PromptBuilder(renderer, context_length),
        tokenizer=tokenizer,
        grammars=GrammarCompiler.of_model(
            config.model_dir, loaded.model.vocab_size, sorted(end_tokens), thoughts_of(tokenizer)
        ),
        eos_token_ids=end_tokens,
        context_length=context_length,
        warm_up=WarmUp(runner.run, pool, shapes),
        fingerprint=kv.fingerprint,
        move=kv.move,
    )
    core.parts.opening.prefixes.prepare_operator(operator_tokens, runner, kv.tiers)
    info = ModelInfo(
        name=config.model_dir.name,
        context_length=context_length,
        has_chat_template=template is not None,
        kv_precision=config.kv_precision,
        kv_block_bytes=loaded.model.block_bytes,
        num_blocks=pool.num_blocks,
        block_size=pool.block_size,
        num_threads=loaded.num_threads,
        can_think=renderer.can_think,
    )
    return core, info


def _tell(template: ChatTemplate | None, system_prompt: str | None) -> None:
    """Say in the log what is assumed of the template."""
    if template is None:
        log.warning(
            "The model has no chat template: it is taken for a base model, which goes on with texts. "
            "If it was trained to chat, name its template with --chat-template FILE."
        )
        return
    if template.assumed is not None:
        log.warning(
            "The model has several chat templates and none is the default; '%s' is used. "
            "--chat-template FILE names another.",
            template.assumed,
        )
    if system_prompt and not template.knows_system:
        log.warning(
            "The model's chat template knows no system prompts; they stand in front of the first question."
        )
