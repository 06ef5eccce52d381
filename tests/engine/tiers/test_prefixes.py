"""Beginnings that are shared: computed once, by reference, and never across owners."""

from collections.abc import Callable

import pytest

from engine.scheduling.sequence import Sequence
from engine.tiers.prefixes import Prefixes
from engine.turns.core import EngineCore
from tests.engine.fakes import endless, saying
from tests.engine.rig import Rig, make_rig

Rigs = Callable[..., Rig]

OPERATOR = "You answer in few words, and always kindly."
OWN = "Talk like a pirate who has read too much."


def blocks(rig: Rig, name: str) -> set[int]:
    return set(rig.sequence(name).block_table)


def head(rig: Rig) -> int:
    """Tokens of the operator's prompt up to where the first message begins."""
    return rig.core.parts.opening.prefixes.operator.num_cached_tokens


def test_the_operators_prompt_is_computed_once_for_all_owners(rigs: Rigs) -> None:
    rig = rigs(system_prompt=OPERATOR, num_blocks=128)
    assert head(rig) == len(f"system\n{OPERATOR}\nuser\n") + 3
    for owner in "abc":
        figures = rig.chat("Hi", f"{owner}/one").figures
        assert figures.reused_tokens == head(rig)
    assert sum(sum(step.counts) for step in rig.model.steps if step.past == [0]) == head(rig)


def test_the_operators_blocks_are_shared_by_reference_and_only_the_partial_one_is_copied(
    rigs: Rigs,
) -> None:
    rig = rigs(system_prompt=OPERATOR, num_blocks=128)
    rig.chat("Hi", "a/one")
    rig.chat("Hi", "b/one")
    operator = rig.core.parts.opening.prefixes.operator
    whole, partial = divmod(head(rig), rig.block_size)
    assert partial, "the case is about a partial block"
    assert blocks(rig, "a/one") & blocks(rig, "b/one") == set(operator.block_table[:whole])
    assert rig.model.tokens[operator.block_table].reshape(-1)[: head(rig)].tolist() == (
        operator.tokens
    ), "nobody wrote into the operator's own partial block"


@pytest.mark.parametrize("prompt", [OPERATOR + "!" * i for i in range(4)])
def test_replies_are_those_of_a_rig_that_shares_nothing(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    sharing = rigs(system_prompt=prompt, num_blocks=256)
    alone = rigs(system_prompt=prompt, num_blocks=256)
    monkeypatch.setattr(alone.core.parts.opening.prefixes, "share", lambda *_: None, raising=True)
    for owner, message in [("a", "Hi"), ("b", "Hi"), ("a", "Hi there"), ("b", "Hi there, you")]:
        for name in (f"{owner}/one", f"{owner}/two"):
            assert sharing.chat(message, name).text == alone.chat(message, name).text
            sharing.check()
    assert sum(sum(step.counts) for step in sharing.model.steps) < sum(
        sum(step.counts) for step in alone.model.steps
    )


def test_an_owners_equal_beginnings_are_computed_once(rigs: Rigs) -> None:
    rig = rigs(num_blocks=128)
    first = rig.chat("Hi", "a/one", system=OWN)
    second = rig.chat("Hi", "a/two", system=OWN)
    prompt = first.figures.prefilled_tokens
    shared = (prompt - 1) // rig.block_size * rig.block_size
    assert second.figures.reused_tokens == shared
    assert second.figures.prefilled_tokens == prompt - shared
    assert second.text == first.text


def test_beginnings_behind_the_operators_prompt_are_found_by_every_owner(rigs: Rigs) -> None:
    rig = rigs(system_prompt=OPERATOR, num_blocks=256, choose=saying("ok"))
    question = "the same long question in two conversations"
    for owner in "ab":
        rig.chat(question, f"{owner}/one")
        assert rig.chat(question, f"{owner}/two").figures.prefilled_tokens <= rig.block_size


def test_nothing_of_one_owner_is_ever_found_by_another(rigs: Rigs) -> None:
    rig = rigs(num_blocks=128)
    first = rig.chat("my secret", "a/one", system=OWN)
    other = rig.chat("my secret", "b/one", system=OWN)
    assert other.figures.reused_tokens == 0
    assert other.figures.prefilled_tokens == first.figures.prefilled_tokens
    assert not blocks(rig, "a/one") & blocks(rig, "b/one")


def test_a_beginning_that_only_looks_like_the_operators_shares_just_that(rigs: Rigs) -> None:
    rig = rigs(system_prompt=OPERATOR, num_blocks=128)
    asked = rig.chat("Hi", "a/one", system=OPERATOR[:20] + "?")
    assert asked.figures.reused_tokens == len(f"<system\n{OPERATOR[:20]}")
    assert asked.text == make_rig().chat("Hi", system=OPERATOR[:20] + "?").text


def test_freed_blocks_are_not_found(rigs: Rigs) -> None:
    rig = rigs(num_blocks=64)
    first = rig.chat("Hi", "a/one", system=OWN)
    rig.core.evict(rig.session("a/one"))
    assert rig.pool.num_used == 0
    rig.chat("something else entirely, to write over them", "b/one")
    again = rig.chat("Hi", "a/two", system=OWN)
    assert again.figures.reused_tokens == 0
    assert again.text == first.text


def test_a_block_that_another_conversation_still_holds_is_found(rigs: Rigs) -> None:
    rig = rigs(num_blocks=128)
    rig.chat("Hi", "a/one", system=OWN)
    rig.chat("Hi", "a/two", system=OWN)
    rig.core.evict(rig.session("a/one"))
    assert rig.chat("Hi", "a/three", system=OWN).figures.reused_tokens > 0


def test_overwritten_blocks_are_not_found(rigs: Rigs) -> None:
    rig = rigs(num_blocks=64, choose=saying("yes"))
    prefixes = rig.core.parts.opening.prefixes
    rig.chat("first message", "a/one")
    rig.session("a/one")
    indexed = len(prefixes._index)
    table = list(rig.sequence("a/one").block_table)
    sequence = rig.sequence("a/one")
    cut = 2 * rig.block_size + 1
    sequence.truncate(cut, rig.pool)
    sequence.tokens += [1, 2, 3, 4, 5]
    batch = rig.scheduler.idle_batch(sequence, 8)
    assert batch is not None
    rig.core.parts.runner.run(batch)
    rig.scheduler.commit(batch)
    found = prefixes._index.longest("a", [*sequence.tokens[:cut], *[9] * 40])
    assert found == table[:2]
    assert len(prefixes._index) < indexed
    rig.core.release(rig.session("a/one"))


def test_a_pool_too_small_for_the_operators_prompt_shares_nothing_and_works(rigs: Rigs) -> None:
    rig = rigs(system_prompt="x" * 300, num_blocks=64)
    assert head(rig) == 0
    assert rig.chat("Hi", system="short").text == make_rig().chat("Hi", system="short").text


def test_share_never_gives_a_sequence_all_of_its_tokens(rigs: Rigs) -> None:
    rig = rigs(system_prompt=OPERATOR)
    prefixes = rig.core.parts.opening.prefixes
    sequence = Sequence(list(prefixes.operator.tokens))
    prefixes.share("a", sequence)
    assert sequence.num_uncached_tokens == 1
    sequence.truncate(0, rig.pool)


def test_share_takes_nothing_from_a_sequence_that_has_more(rigs: Rigs) -> None:
    rig = rigs(num_blocks=128, choose=endless)
    rig.chat("Hi", "a/one")
    sequence = rig.sequence("a/one")
    before = (list(sequence.block_table), sequence.num_cached_tokens)
    prefixes: Prefixes = rig.core.parts.opening.prefixes
    prefixes.share("a", sequence)
    assert (sequence.block_table, sequence.num_cached_tokens) == before


def test_the_operators_blocks_survive_pressure(rigs: Rigs) -> None:
    rig = rigs(system_prompt=OPERATOR, num_blocks=48, choose=endless)
    for number in range(6):
        rig.chat("a long message to fill the pool", f"{number}/one")
        check_operator(rig.core, rig)
    assert rig.chat("Hi", "z/one").figures.reused_tokens == head(rig)


def check_operator(core: EngineCore, rig: Rig) -> None:
    operator = core.parts.opening.prefixes.operator
    held = rig.model.tokens[operator.block_table].reshape(-1)[: operator.num_cached_tokens]
    assert held.tolist() == operator.tokens
