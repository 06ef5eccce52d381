"""Guessing ahead: replies are what they would have been, in fewer steps."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.events import FinishReason
from engine.scheduling.sampling import Sampler, SamplingParams
from engine.scheduling.sequence import Batch, Sequence
from engine.scheduling.speculation import NUM_GUESSES, Guesses, StepCosts
from tests.engine.fakes import PIECE_IDS, babble, endless, saying
from tests.engine.rig import GREEDY, Rig

Rigs = Callable[..., Rig]
REPEATING = saying(*"tell me, tell me, tell me, tell me, tell me, why")


def batch(count: int) -> Batch:
    return Batch([Sequence([0] * count, num_scheduled_tokens=count)], [])


def costs(*, apart: bool = False, **seconds: float) -> StepCosts:
    """Steps of so many tokens cost so much."""
    made = StepCosts(apart=apart)
    for name, one in seconds.items():
        count = int(name.removeprefix("of_"))
        made.observe(batch(count), 99.0)  # behind a step of another size
        made.observe(batch(count), one)
    return made


def guessing(rigs: Rigs, **options: object) -> Rig:
    """A rig that always guesses."""
    rig = rigs(num_blocks=512, **options)
    rig.core.parts.costs.should_guess = lambda _replies: True  # type: ignore[assignment, method-assign]
    return rig


def yielding(*tokens_per_step: float) -> list[Guesses]:
    """Replies that would say so much in each step with guesses."""
    replies = [Guesses([]) for _ in tokens_per_step]
    for reply, tokens in zip(replies, tokens_per_step, strict=True):
        reply.tokens_per_step = tokens
    return replies


def test_without_measurements_nothing_is_guessed() -> None:
    assert not StepCosts().should_guess(yielding(4.0))
    assert not costs(of_1=1.0).should_guess(yielding(4.0))


def test_replies_guess_where_a_step_yields_more_than_it_costs() -> None:
    measured = costs(of_1=1.0, of_4=1.4)
    assert measured.should_guess(yielding(1.6))
    assert not measured.should_guess(yielding(1.5))


def test_several_replies_share_a_step() -> None:
    measured = costs(of_2=1.0, of_8=2.0)
    assert measured.should_guess(yielding(3.0, 2.0))
    assert not measured.should_guess(yielding(3.0, 1.0))


def test_a_step_of_another_size_than_the_last_does_not_count() -> None:
    measured = costs(of_1=1.0, of_4=1.0)
    for _ in range(50):
        measured.observe(batch(1), 1.0)
        measured.observe(batch(4), 50.0)
    assert measured.should_guess(yielding(2.0))


def repeated() -> Guesses:
    """Of a reply that has something to look up, and that was right."""
    return reading([1, 2, 3, 4, 5, 6, 7, 8] * 4, 8)


def test_single_tokens_with_a_graph_of_their_own_do_not_unsettle_the_others() -> None:
    measured = costs(of_1=1.0, of_4=50.0, apart=True)
    for _ in range(50):
        measured.observe(batch(1), 1.0)
        measured.observe(batch(4), 1.4)
    assert measured.should_guess([repeated()])
    both = costs(of_2=1.0, of_8=1.4, apart=True)
    assert both.should_guess(yielding(2.0, 2.0)), "no graph for two"


def test_a_graph_of_its_own_is_prepared_by_its_first_single_token() -> None:
    measured = costs(of_1=1.0, of_4=9.0, apart=True)
    assert not measured.should_guess([repeated()]), "the first one, which was slow, does not count"
    chunk = Batch([Sequence([0, 0], num_scheduled_tokens=1)], [])  # not the last token: no logits
    for _ in range(50):
        measured.observe(chunk, 99.0)
        measured.observe(batch(4), 9.0)
    assert not measured.should_guess([repeated()]), "such a token runs in the other graph"


def test_where_nothing_is_found_a_reply_alone_does_not_guess_whatever_it_costs() -> None:
    measured = costs(of_1=99.0, of_4=1.0, apart=True)
    assert measured.should_guess([repeated()])
    assert not measured.should_guess(yielding(4.0))
    assert costs(of_1=99.0, of_4=1.0).should_guess(yielding(4.0))


def test_a_cost_measured_on_a_busy_machine_does_not_stand_for_ever() -> None:
    measured = costs(of_1=1.0, of_4=9.0, apart=True)
    assert [measured.should_guess([repeated()]) for _ in range(40)].count(True) == 2
    for _ in range(400):
        measured.observe(batch(1), 1.0)
        if measured.should_guess([repeated()]):
            measured.observe(batch(4), 1.4)
    assert all(measured.should_guess([repeated()]) for _ in range(40))


def test_what_could_never_pay_is_not_tried() -> None:
    wrong = reading([x for i in range(60) for x in (1, 2, 100 + i)], 6)
    measured = costs(of_1=1.0, of_4=9.0, apart=True)
    for token in (1, 2):
        wrong._tokens.append(token)  # type: ignore[attr-defined]
    wrong.read()
    assert wrong.has_found
    assert not any(measured.should_guess([wrong]) for _ in range(40))
    assert not any(costs(of_1=1.0, of_4=9.0).should_guess(yielding(4.0)) for _ in range(40))


def test_one_reply_alone_guesses_only_where_it_finds_something(rigs: Rigs) -> None:
    partly = saying(*"what is new, what is new, what is new")
    rig = rigs(num_blocks=512, choose=partly, has_single_token_graph=True)
    rig.core.parts.costs._seconds = {1: 1.0, 1 + NUM_GUESSES: 0.5}
    rig.chat("Hi")
    counts = [sum(step.counts) for step in rig.model.steps]
    assert counts.count(1) > 3
    assert counts.count(1 + NUM_GUESSES) > 3


def reading(tokens: list[int], count: int) -> Guesses:
    """Guesses that have read the first tokens, and then the others one by one."""
    grown = tokens[:count]
    guesses = Guesses(grown)
    guesses.read()
    for token in tokens[count:]:
        grown.append(token)
        guesses.read()
    return guesses


def test_a_guess_is_what_followed_when_the_same_was_said_last() -> None:
    assert reading([1, 2, 3, 9, 1, 2, 4, 5, 6, 1, 2], 11).next() == [4, 5, 6]
    assert reading([1, 2, 3, 9, 1, 2, 4, 5, 6, 1, 2], 1).next() == [4, 5, 6]
    assert reading([1, 2, 3, 1, 2], 5).next() == [3, 1, 2]
    assert reading([1, 2, 3, 4], 4).next() == [0, 0, 0]


def test_what_a_step_would_yield_is_known_without_guessing() -> None:
    again = [1, 2, 3, 4, 5, 6, 7, 8] * 40
    assert 3.8 < reading(again, 8).tokens_per_step <= 4.0
    assert reading(list(range(200)), 8).tokens_per_step == 1.0
    half = [x for i in range(60) for x in (1, 2, 3, 100 + i, 200 + i, 300 + i)]
    assert 1.0 < reading(half, 6).tokens_per_step < 1.5


def test_a_reply_that_seldom_repeats_itself_knows_when_it_does() -> None:
    seldom = [x for i in range(60) for x in (*range(1000 + 20 * i, 1020 + 20 * i), 1, 2, 3, 4, 5)]
    assert reading(seldom, 25).tokens_per_step < 1.4
    assert not reading([*seldom, 0], 25).has_found
    found = reading([*seldom, 0, 1, 2], 25)
    assert found.has_found
    assert found.tokens_per_find > 2.5


def test_it_does_not_matter_how_many_tokens_come_at_once() -> None:
    tokens = [1, 2, 3, 4, 9, 1, 2, 3, 4, 8, 1, 2, 3, 4, 9, 7, 1, 2, 3, 4]
    grown = tokens[:2]
    guesses = Guesses(grown)
    guesses.read()
    grown += tokens[2:]
    guesses.read()
    assert guesses.tokens_per_step == reading(tokens, 2).tokens_per_step


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
    sequence.guesses = [PIECE_IDS["the"]] * 7  # two blocks
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
