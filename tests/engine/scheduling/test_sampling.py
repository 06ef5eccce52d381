"""Filters against a plain full sort, draws against their probabilities, penalties by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import ConfigError
from engine.scheduling.sampling import Sampler, SamplingParams, _candidates, _largest

Row = npt.NDArray[np.float32]

# Distances that float32 keeps apart, and many ties.
rows = arrays(
    np.float32, st.sampled_from([1, 7, 64, 65, 200, 1000]), elements=st.integers(-40, 40).map(float)
)


def reference(logits: Row, params: SamplingParams) -> dict[int, float]:
    """Token probabilities after all filters, by sorting everything, in float64."""
    order = np.argsort(-logits, kind="stable")
    if params.top_k:
        order = order[: params.top_k]
    scaled = (logits[order].astype(np.float64) - logits.max()) / params.temperature
    probabilities = np.exp(scaled) / np.exp(scaled).sum()
    before = np.cumsum(probabilities) - probabilities
    keep = before < params.top_p * (1 - 1e-7)
    order, probabilities = order[keep], probabilities[keep]
    keep = probabilities >= params.min_p * probabilities.max()
    order, probabilities = order[keep], probabilities[keep]
    return dict(zip(order.tolist(), (probabilities / probabilities.sum()).tolist(), strict=True))


def kept(logits: Row, params: SamplingParams) -> dict[int, float]:
    """The same from the code under test."""
    tokens, weights = _candidates(logits, params)
    tokens, weights = tokens[weights >= params.min_p], weights[weights >= params.min_p]
    return dict(zip(tokens.tolist(), (weights / weights.sum()).tolist(), strict=True))


def assert_same(found: dict[int, float], expected: dict[int, float]) -> None:
    """Equal but for tokens so improbable that rounding decides about them."""
    for token in found.keys() | expected.keys():
        assert found.get(token, 0) == pytest.approx(expected.get(token, 0), abs=2e-6), token


def test_biases_are_added_before_anything_else() -> None:
    logits = np.zeros(8, np.float32)
    params = SamplingParams(temperature=0, logit_bias=((3, 5.0), (5, -100), (10**6, 7.0)))
    sampler = Sampler(params, [], 8)
    assert sampler.sample(logits) == 3
    assert not logits.any(), "the row is others', too"
    banned = SamplingParams(temperature=1, top_k=0, top_p=1, seed=1, logit_bias=((0, -100),))
    drawn = Sampler(banned, [], 2)
    assert {drawn.sample(logits[:2]) for _ in range(200)} == {1}


@pytest.mark.parametrize(
    "biases",
    [
        [(1, 1.0)],
        ((1,),),
        ((-1, 1.0),),
        ((1, 101),),
        ((1, True),),
        ((1, float("nan")),),
        ((1.0, 1),),
    ],
)
def test_biases_that_cannot_be_are_refused(biases: Any) -> None:
    with pytest.raises(ConfigError, match="Biases"):
        SamplingParams(logit_bias=biases)


@given(rows, st.integers(0, 300), st.sampled_from([0.3, 1.0, 5.0]))
def test_top_k_keeps_what_a_full_sort_keeps(logits: Row, k: int, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, top_k=k, top_p=1)
    assert_same(kept(logits, params), reference(logits, params))


@given(rows, st.sampled_from([0.05, 0.33, 0.777, 0.95, 0.99, 1.0]), st.sampled_from([0, 5, 100]))
def test_top_p_keeps_what_a_full_sort_keeps(logits: Row, top_p: float, k: int) -> None:
    logits = (logits + np.arange(logits.size) / 997).astype(np.float32)  # no ties at the border
    params = SamplingParams(temperature=3, top_k=k, top_p=top_p)
    assert_same(kept(logits, params), reference(logits, params))


@given(rows, st.sampled_from([0.011, 0.1, 0.5, 1.0]), st.sampled_from([0, 20]))
def test_min_p_keeps_what_a_full_sort_keeps(logits: Row, min_p: float, k: int) -> None:
    params = SamplingParams(temperature=7, top_k=k, top_p=1, min_p=min_p)
    assert_same(kept(logits, params), reference(logits, params))


def test_a_large_vocabulary_is_filtered_like_a_small_one() -> None:
    logits = np.random.default_rng(1).normal(0, 3, 152_064).astype(np.float32)
    for options in ({"top_k": 40}, {"top_k": 0}, {"top_k": 5000}, {"top_k": 0, "top_p": 0.5}):
        params = SamplingParams(temperature=1, **options)
        assert_same(kept(logits, params), reference(logits, params))


def test_ties_go_to_the_lower_token() -> None:
    logits = np.zeros(500, np.float32)
    logits[[100, 200, 300]] = 1
    assert set(kept(logits, SamplingParams(top_k=2, top_p=1))) == {100, 200}
    assert draw(logits, SamplingParams(temperature=0)) == [100]


@pytest.mark.parametrize("step", [1, 10, 11])
def test_the_largest_are_found_wherever_they_stand(step: int) -> None:
    logits = np.zeros(640, np.float32)
    largest = [*range(0, 5 * step, step)]
    logits[largest] = [5, 4, 3, 2, 1]
    assert list(kept(logits, SamplingParams(top_k=5, top_p=1))) == largest


def test_tokens_that_may_not_come_are_no_candidates() -> None:
    """Under a grammar few are left of a large vocabulary; sorting the others took longer than a small model's step."""
    logits = np.full(152_064, -np.inf, np.float32)
    logits[[900, 7, 150_000]] = [1, 3, 2]
    assert _largest(logits, 40).tolist() == [7, 150_000, 900]


def test_k_beyond_the_vocabulary_keeps_everything() -> None:
    logits = np.array([1, 2, 3], np.float32)
    assert len(kept(logits, SamplingParams(top_k=99, top_p=1))) == 3


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0}, {"top_k": 1}, *({"temperature": t} for t in (1e-6, 1e-30, 1e-39, 5e-324))],
)
def test_greedy_takes_the_most_probable(options: dict[str, Any]) -> None:
    logits = np.random.default_rng(2).normal(size=1000).astype(np.float32)
    assert draw(logits, SamplingParams(**options), 20) == [int(logits.argmax())] * 20


def draw(logits: Row, params: SamplingParams, count: int = 1) -> list[int]:
    sampler = Sampler(params, [], logits.size)
    return [sampler.sample(logits) for _ in range(count)]


@pytest.mark.parametrize(
    "options", [{}, {"top_p": 0.8}, {"min_p": 0.2}, {"top_k": 3}, {"temperature": 0.5}]
)
def test_draws_follow_the_probabilities(options: dict[str, Any]) -> None:
    logits = np.array([0.1, 2.0, 1.0, -1.0, 1.5, 0.0], np.float32)
    params = SamplingParams(**({"temperature": 1, "top_k": 0, "top_p": 1, "seed": 5} | options))
    counts = np.bincount(draw(logits, params, 8000), minlength=6) / 8000
    expected = reference(logits, params)
    assert counts == pytest.approx([expected.get(i, 0) for i in range(6)], abs=0.02)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    logits = np.zeros(1000, np.float32)
    one, same, other = (
        draw(logits, SamplingParams(temperature=1, top_k=0, seed=seed), 20) for seed in (3, 3, 4)
    )
    assert one == same != other


def test_without_a_seed_every_turn_draws_anew() -> None:
    logits = np.zeros(1000, np.float32)
    params = SamplingParams(temperature=1, top_k=0)
    assert draw(logits, params, 20) != draw(logits, params, 20)


def penalised(prompt: list[int], reply: list[int], **options: float) -> list[float]:
    """What becomes of the logits [2, -2, 1, 0] behind this prompt and reply."""
    sampler = Sampler(SamplingParams(temperature=0, **options), prompt, 4)  # type: ignore[arg-type]
    for token in reply:
        forced = np.full(4, -1e30, np.float32)
        forced[token] = 1e30
        assert sampler.sample(forced) == token
    assert sampler._penalties is not None
    return list(map(float, sampler._penalties.apply(np.array([2, -2, 1, 0], np.float32))))


def test_the_repetition_penalty_counts_prompt_and_reply() -> None:
    assert penalised([0, 1], [], repetition_penalty=2) == [1, -4, 1, 0]
    assert penalised([1], [2, 2], repetition_penalty=2) == [2, -4, 0.5, 0]


def test_tokens_that_the_reply_has_already_count_as_said() -> None:
    params = SamplingParams(temperature=0, frequency_penalty=0.5, presence_penalty=0.25)
    sampler = Sampler(params, [0, 2, 2], 4, said=[2, 2])
    assert sampler._penalties is not None
    found = sampler._penalties.apply(np.array([2, -2, 1, 0], np.float32))
    assert found.tolist() == [2, -2, 1 - 0.25 - 1, 0]


def test_the_presence_penalty_counts_the_reply_once() -> None:
    assert penalised([0], [2, 2], presence_penalty=0.5) == [2, -2, 0.5, 0]


def test_the_frequency_penalty_counts_each_time() -> None:
    assert penalised([0], [2, 2, 1], frequency_penalty=0.5) == [2, -2.5, 0, 0]


def test_penalties_add_up() -> None:
    options = {"repetition_penalty": 2.0, "presence_penalty": 0.25, "frequency_penalty": 0.5}
    assert penalised([0], [2, 2], **options) == [1, -2, 0.5 - 0.25 - 1, 0]


def test_penalties_leave_the_logits_of_the_step_alone() -> None:
    logits = np.ones(4, np.float32)
    draw(logits, SamplingParams(repetition_penalty=2, presence_penalty=1), 3)
    assert logits.tolist() == [1] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.01},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0},
        {"max_tokens": 0},
        {"seed": -1},
        {"stop": ("",)},
    ],
)
def test_impossible_parameters_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SamplingParams(**options)
