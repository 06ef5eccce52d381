"""Guessing ahead: replies are what they would have been, in fewer steps."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.events import FinishReason
from engine.sampling import Sampler, SamplingParams
from engine.sequence import Batch, Sequence
from engine.speculation import Guesses, StepCosts
from tests.engine.fakes import PIECE_IDS, babble, endless, saying
from tests.engine.rig import GREEDY, Rig

Rigs = Callable[..., Rig]
REPEATING = saying(*"tell me, tell me, tell me, tell me, tell me, why")


def batch(count: int) -> Batch:
    return Batch([Sequence([0] * count, num_scheduled_tokens=count)], [])


def costs(*seconds: float) -> StepCosts:
    """Steps of 1, 2, ... tokens cost so much."""
    made = StepCosts()
    for count, one in enumerate(seconds, start=1):
        made.observe(batch(count), one)
    return made


def guessing(rigs: Rigs, **options: object) -> Rig:
    """A rig where a token more costs nothing."""
    rig = rigs(num_blocks=512, **options)
    rig.core.parts.costs._seconds = dict.fromkeys(range(1, 40), 1.0)
    return rig


def test_unknown_costs_allow_no_guesses() -> None:
    assert StepCosts().guesses_that_pay(1, 1.0) == 0
    assert costs(1.0).guesses_that_pay(1, 1.0) == 0


def test_guesses_go_as_far_as_they_pay() -> None:
    tiled = costs(1.0, 1.05, 1.1, 1.15, 1.8, 1.9, 2.0, 2.1)
    assert tiled.guesses_that_pay(1, 0.6) == 3
    assert tiled.guesses_that_pay(1, 1.0) == 7
    assert tiled.guesses_that_pay(1, 0.01) == 0
    assert costs(1.0, 2.0, 3.0, 4.0).guesses_that_pay(1, 0.9) == 0


def test_several_replies_share_a_step() -> None:
    flat_up_to_four = costs(1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0)
    assert flat_up_to_four.guesses_that_pay(2, 0.9) == 1
    assert flat_up_to_four.guesses_that_pay(4, 0.9) == 0


def test_a_guess_is_what_followed_when_the_same_was_said_last() -> None:
    tokens = [1, 2, 3, 9, 1, 2, 4, 5, 6, 1, 2]
    guesses = Guesses(tokens)
    assert guesses.next(3) == [4, 5, 6]
    tokens += [7, 8]
    assert guesses.next(3) == []
    tokens += [2, 3]
    assert guesses.next(9) == [9, 1, 2, 4, 5, 6, 1, 2, 7][:9]


def test_trust_follows_what_was_right() -> None:
    guesses = Guesses([])
    before = guesses.trust
    guesses.learn(0, 0)
    assert guesses.trust == before
    guesses.learn(3, 3)
    raised = guesses.trust
    guesses.learn(3, 0)
    assert before < raised > guesses.trust


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(temperature=1.0, seed=3, max_tokens=90)])
@pytest.mark.parametrize("choose", [REPEATING, endless, babble])
def test_replies_are_the_same_in_fewer_steps(
    rigs: Rigs, choose: Callable[..., int], params: SamplingParams
) -> None:
    steps, replies, tokens = [], [], []
    for rig in (rigs(num_blocks=512, choose=choose), guessing(rigs, choose=choose)):
        asked = [rig.chat("tell me, tell me", params=params), rig.chat("again", params=params)]
        replies.append([(one.text, one.reason) for one in asked])
        tokens.append(rig.tokens())
        steps.append(len(rig.model.steps))
        rig.check()
    assert replies[0] == replies[1]
    assert tokens[0] == tokens[1]
    assert steps[1] < steps[0] if choose is REPEATING else steps[1] <= steps[0]


def test_a_reply_ends_where_it_would_have(rigs: Rigs) -> None:
    for limit in range(1, 14):
        params = SamplingParams(temperature=0, max_tokens=limit)
        asked = guessing(rigs, choose=REPEATING).chat("tell me, tell me", params=params)
        assert asked.text == "tell me, tell me"[:limit]
        assert asked.figures.generated_tokens == limit


def test_a_stop_string_in_the_midst_of_guesses_ends_the_reply(rigs: Rigs) -> None:
    params = SamplingParams(temperature=0, max_tokens=90, stop=("me, why",))
    rig = guessing(rigs, choose=REPEATING)
    plain = rigs(num_blocks=512, choose=REPEATING)
    assert rig.chat("Hi", params=params).text == plain.chat("Hi", params=params).text
    assert rig.chat("Go on", params=params).text == plain.chat("Go on", params=params).text
    assert rig.tokens() == plain.tokens()


def test_two_replies_guess_beside_each_other(rigs: Rigs) -> None:
    rig = guessing(rigs, choose=REPEATING)
    both = rig.begin("tell me, tell me", "a"), rig.begin("tell me, tell me", "b")
    rig.run()
    alone = rigs(num_blocks=512, choose=REPEATING).chat("tell me, tell me")
    assert [one.text for one in both] == [alone.text] * 2


def test_guesses_take_no_block_from_anybody(rigs: Rigs) -> None:
    rig = guessing(rigs, choose=REPEATING)
    asked = rig.begin("tell me, tell me")
    while not asked.text:
        rig.step()
    (sequence,) = rig.core._turns
    held = rig.pool.try_allocate(rig.pool.num_free - 1)
    assert held
    sequence.guesses = [PIECE_IDS["the"]] * 7  # of two blocks
    batch = rig.core.parts.scheduler.schedule()
    assert batch is not None
    assert [s.num_scheduled_tokens for s in batch.sequences] == [1]
    rig.core.parts.scheduler.abort(batch)
    rig.pool.release(held)
    rig.run()
    assert asked.over


def test_a_step_that_fails_forgets_its_guesses(rigs: Rigs) -> None:
    rig = guessing(rigs, choose=REPEATING)
    asked = rig.begin("tell me, tell me")

    def broken(inputs: dict[str, np.ndarray]) -> None:
        if len(inputs["logit_indices"]) > 1:
            raise RuntimeError("out of luck")

    rig.model.before = broken
    rig.run()
    rig.model.before = None
    assert asked.reason is FinishReason.ERROR
    rig.check()
    plain = rigs(num_blocks=512, choose=REPEATING)
    plain.chat("Hi")
    assert rig.chat("Hi", "other").text == plain.session().messages[-1].content


def test_a_sampler_goes_on_behind_right_guesses_only() -> None:
    rows = np.zeros((4, 10), np.float32)
    for row, token in enumerate((3, 5, 7, 9)):
        rows[row, token] = 1.0
    sampler = Sampler(SamplingParams(temperature=0), [], 10)
    assert sampler.follow(rows[:1], []) == [3]
    assert sampler.follow(rows, [3, 5, 7]) == [3, 5, 7, 9]
    assert sampler.follow(rows, [3, 4, 7]) == [3, 5]
    assert sampler.follow(rows, [0, 5, 7]) == [3]
