"""The token budget follows what steps cost, and never starves a prefill."""

from engine.sequence import Batch, Sequence
from engine.token_budget import RATIO, TokenBudget

BLOCK = 32


def batch(*counts: int) -> Batch:
    return Batch([Sequence([0] * n, num_scheduled_tokens=n) for n in counts], [])


def learnt(decode_s: float, per_token_s: float) -> TokenBudget:
    budget = TokenBudget(512, None, BLOCK)
    for _ in range(20):
        budget.observe(batch(1, 1, 1, 1), decode_s)
        budget.observe(batch(1, 1, 1, 64), decode_s + 64 * per_token_s)
    return budget


def test_cheap_prefill_gets_large_chunks_that_keep_the_ratio() -> None:
    decode_s, per_token_s = 0.012, 0.0002
    budget = learnt(decode_s, per_token_s)
    assert budget.beside % BLOCK == 0
    step_s = decode_s + budget.beside * per_token_s
    assert step_s <= RATIO * decode_s < step_s + BLOCK * per_token_s


def test_dear_prefill_still_gets_a_block() -> None:
    assert learnt(0.010, 0.01).beside == BLOCK


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
