"""The token budget follows what steps cost, and never starves a prefill."""

import pytest

from engine.scheduling.sequence import Batch, Sequence
from engine.scheduling.token_budget import MAX_STEP_S, RATIO, TokenBudget

BLOCK = 32


def batch(*counts: int) -> Batch:
    return Batch([Sequence([0] * n, num_scheduled_tokens=n) for n in counts], [])


def learnt(decode_s: float, per_token_s: float) -> TokenBudget:
    budget = TokenBudget(512, None, BLOCK)
    for _ in range(20):
        budget.observe(batch(1, 1, 1, 1), decode_s)
        budget.observe(batch(1, 1, 1, 64), decode_s + 64 * per_token_s)
    while not budget.beside:
        budget.observe(batch(1, 1, 1, 1), decode_s)
    return budget


def play(budget: TokenBudget, decode_s: float, per_token_s: float, steps: int) -> tuple[float, int]:
    """A long prefill beside four answers: the mean step, and the tokens prefilled."""
    seconds, tokens = 0.0, 0
    for _ in range(steps):
        count = budget.beside
        step_s = decode_s + count * per_token_s
        budget.observe(batch(1, 1, 1, 1, *([count] if count else [])), step_s)
        seconds, tokens = seconds + step_s, tokens + count
    return seconds / steps, tokens


@pytest.mark.parametrize("per_token_s", [1e-4, 6e-4, 1e-3, 2e-3])
def test_running_answers_keep_their_share(per_token_s: float) -> None:
    decode_s = 0.013
    mean_s, tokens = play(learnt(decode_s, per_token_s), decode_s, per_token_s, 400)
    assert mean_s <= 1.05 * RATIO * decode_s
    assert tokens > 0


def test_a_long_prefill_uses_up_what_the_answers_leave() -> None:
    decode_s = 0.013
    mean_s, _ = play(learnt(decode_s, 1e-3), decode_s, 1e-3, 400)
    assert mean_s >= 0.95 * RATIO * decode_s


def test_no_step_is_longer_than_a_reader_bears() -> None:
    budget = learnt(0.013, 1e-3)
    assert budget.beside % BLOCK == 0
    step_s = 0.013 + budget.beside * 1e-3
    assert step_s <= MAX_STEP_S < step_s + BLOCK * 1e-3


def test_a_prefill_alone_ends_the_debt() -> None:
    budget = learnt(0.010, 0.01)
    budget.observe(batch(1, 1, 1, 32), 1.0)
    assert budget.beside == 0
    budget.observe(batch(512), 1.0)
    assert budget.beside == BLOCK


def test_a_dear_prefill_still_gets_a_block_at_times() -> None:
    _, tokens = play(learnt(0.010, 0.01), 0.010, 0.01, 40)
    assert tokens >= 2 * BLOCK


def test_free_prefill_gets_no_more_than_it_gets_alone() -> None:
    assert learnt(1.0, 1e-6).beside == 512


def test_a_given_budget_stays_what_it_is() -> None:
    budget = TokenBudget(512, 96, BLOCK)
    budget.observe(batch(1, 1), 0.01)
    budget.observe(batch(1, 96), 10.0)
    assert budget.beside == 96


def test_a_prefill_alone_says_nothing_about_answers() -> None:
    budget = TokenBudget(512, None, BLOCK)
    before = budget.beside
    budget.observe(batch(512), 9.0)
    budget.observe(batch(64, 64), 9.0)
    assert budget.beside == before


def test_budgets_below_a_block_are_raised_to_one() -> None:
    budget = TokenBudget(1, 1, BLOCK)
    assert (budget.alone, budget.beside) == (BLOCK, BLOCK)
