"""The pure parts of the benchmarks: what is counted, compared and averaged."""

import numpy as np
import pytest

from bench import crowd, exact, fairness, typing_ahead
from engine import SessionId, TurnFigures
from engine.metrics import KVSource


def figures(*, prefilled: int, generated: int = 3, ttft_s: float = 0.5) -> TurnFigures:
    return TurnFigures(
        reused_tokens=0,
        prefilled_tokens=prefilled,
        generated_tokens=generated,
        wait_s=0.1,
        ttft_s=ttft_s,
        itl_s=None,
        source=KVSource.MEMORY,
    )


ANNA, BERT = SessionId("anna", "1"), SessionId("bert", "1")


def test_tokens_prefilled_beyond_the_new_ones_count_as_reencoded() -> None:
    tally = crowd.Tally()
    tally.add(ANNA, figures(prefilled=100), new_tokens=60)
    assert tally.reencoded_tokens == 40


def test_a_turn_that_reused_more_does_not_pay_for_another() -> None:
    tally = crowd.Tally()
    tally.add(ANNA, figures(prefilled=10), new_tokens=60)
    tally.add(BERT, figures(prefilled=70), new_tokens=60)
    assert tally.reencoded_tokens == 10


def test_the_last_token_of_a_cut_reply_is_owed_by_its_own_session_only() -> None:
    tally = crowd.Tally()
    tally.add(ANNA, figures(prefilled=60, generated=crowd.REPLY_TOKENS), new_tokens=60)
    tally.add(BERT, figures(prefilled=61), new_tokens=60)
    tally.add(ANNA, figures(prefilled=61), new_tokens=60)
    assert tally.reencoded_tokens == 1


def test_only_turns_after_the_first_count_for_the_time_to_first_token() -> None:
    tally = crowd.Tally()
    for session_id in (ANNA, BERT, ANNA):
        tally.add(session_id, figures(prefilled=1), new_tokens=1)
    assert len(tally.later) == 1


def test_everyone_speaks_once_before_anyone_speaks_again() -> None:
    who = list(crowd.speakers())
    assert who[: crowd.SESSIONS] == list(range(crowd.SESSIONS))
    assert len(who) == crowd.TURNS


def test_growth_ignores_the_first_half() -> None:
    assert crowd.growth([float(i) for i in range(80)] + [100.0] * 80) == 0
    assert crowd.growth([0.0] * 100 + [float(i) for i in range(100)]) == pytest.approx(75)


def test_kl_is_zero_for_shifted_logits_and_right_for_known_ones() -> None:
    logits = np.array([[0.0, 1.0, 2.0]], np.float32)
    assert exact.kl(logits, logits + 5) == pytest.approx(0, abs=1e-9)
    even = np.zeros((1, 2), np.float32)
    uneven = np.log(np.array([[0.25, 0.75]], np.float32))
    assert exact.kl(even, uneven) == pytest.approx(0.5 * np.log(4 / 3), rel=1e-5)


def test_greedy_tokens_are_compared_row_by_row() -> None:
    a = np.array([[1, 2], [2, 1]], np.float32)
    b = np.array([[0, 5], [0, 5]], np.float32)
    assert exact.same_greedy(a, b).tolist() == [True, False]


def test_gaps_are_those_within_one_answer_and_within_the_time() -> None:
    answers = [[0.0, 1.0, 3.0, 9.0], [2.0, 2.5]]
    assert fairness.gaps_within(answers, 1.0, 5.0) == [2.0, 0.5]


def test_prefill_speed_leaves_out_the_time_in_the_queue() -> None:
    assert fairness.speed(figures(prefilled=40)) == pytest.approx(100)


def test_drafts_grow_key_by_key_up_to_the_whole_message() -> None:
    assert typing_ahead.drafts("paste", " why") == [
        "paste",
        "paste ",
        "paste w",
        "paste wh",
        "paste why",
    ]


def test_the_time_to_first_token_is_a_median() -> None:
    assert typing_ahead.ttft_ms([figures(prefilled=1, ttft_s=t) for t in (0.1, 0.2, 9.0)]) == 200
