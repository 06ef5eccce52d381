"""A core from parts that do not know each other yet; nothing here needs OpenVINO."""

from engine.config import EngineConfig
from engine.conversations import Home
from engine.grammars import GrammarCompiler
from engine.model import Runner, WarmUp
from engine.scheduling import Scheduler, StepCosts, TokenBudget
from engine.text import Tokenizer
from engine.tiers import Fingerprint, Move, Prefixes, Shift, Tiers
from engine.turns.ahead import Ahead
from engine.turns.beginning import Beginning
from engine.turns.core import CoreParts, EngineCore
from engine.turns.editing import Editing
from engine.turns.idle import Idle
from engine.turns.opening import Opening
from engine.turns.prompt import PromptBuilder
from engine.turns.sharing import Sharing
from engine.turns.titles import Titles


def assemble(
    config: EngineConfig,
    home: Home,
    *,
    runner: Runner,
    tiers: Tiers,
    prompts: PromptBuilder,
    tokenizer: Tokenizer,
    grammars: GrammarCompiler,
    eos_token_ids: frozenset[int],
    context_length: int,
    warm_up: WarmUp,
    fingerprint: Fingerprint,
    move: Move | None = None,
) -> EngineCore:
    """A core from parts that do not know each other yet; nothing here needs OpenVINO."""
    pool = tiers.pool
    if tiers.disk is not None:  # messages matter more than KV, which can be computed again
        home.journal.relieve_with(tiers.disk.folder.give_way)
    shift = Shift(pool, move)
    budget = TokenBudget(
        config.max_num_batched_tokens, config.max_prefill_beside_decode, pool.block_size
    )
    costs = StepCosts(apart=runner.model.has_single_token_graph)
    runner.observers += [budget.observe, tiers.pace.observe]
    if config.speculation and pool.states is None:  # a wrong guess would stay in the state
        runner.observers.append(costs.observe)
    scheduler = Scheduler(
        pool,
        budget=budget,
        max_num_sequences=config.max_num_sequences,
        reclaim=tiers.reclaim,
        reclaim_states=tiers.reclaim_states,
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
        beginning=Beginning(
            prefixes=opening.prefixes,
            prompts=prompts,
            scheduler=scheduler,
            runner=runner,
            tiers=tiers,
        ),
    )
    return EngineCore(
        CoreParts(
            runner=runner,
            pool=pool,
            scheduler=scheduler,
            sessions=home.sessions,
            opening=opening,
            editing=Editing(pool, prompts, home.journal, tiers),
            tiers=tiers,
            idle=idle,
            journal=home.journal,
            sharing=Sharing(tiers, home.journal, fingerprint, runner.model.vocab_size),
            costs=costs,
            tokenizer=tokenizer,
            grammars=grammars,
            eos_token_ids=eos_token_ids,
            context_length=context_length,
            wake=home.wake,
        )
    )
