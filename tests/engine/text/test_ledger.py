"""The ledger: what a turn keeps, and that it comes to the same as starting anew."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.sampling import SamplingParams
from engine.text.ledger import Ledger, Segment
from tests.engine.fakes import CHATML, PIECE_IDS, SPECIAL_IDS, endless, saying
from tests.engine.rig import Rig, make_rig

Rigs = Callable[..., Rig]

STRIPPING = CHATML.replace("message.content", "message.content | trim")
THINKING = CHATML.replace(
    "message.content", "message.content.split('</think>')[-1] if not loop.last else message.content"
)


def encode(text: str, token_before: int | None) -> list[int]:
    return list(text.encode())


def test_an_empty_ledger_encodes_everything() -> None:
    plan = Ledger().plan("hello", [], encode)
    assert (plan.num_kept, plan.new_tokens) == (0, list(b"hello"))


def test_a_longer_text_encodes_only_its_end() -> None:
    ledger = Ledger((Segment("ab", 2),)).with_reply("XYZ", [1, 3])
    plan = ledger.plan("abXYZcd", [97, 98, 7, 8], encode)
    assert (plan.num_kept, plan.new_tokens) == (4, list(b"cd"))
    assert Ledger(plan.segments).num_tokens == 6


def test_encode_hears_which_token_is_in_front() -> None:
    ledger = Ledger((Segment("ab", 2),))

    def telling(text: str, token_before: int | None) -> list[int]:
        return [token_before or 0, *text.encode()]

    assert ledger.plan("abc", [97, 98], telling).new_tokens == [98, *b"c"]
    assert ledger.plan("xabc", [97, 98], telling).new_tokens == [0, *b"xabc"]


def talk(*turns: tuple[str, str]) -> tuple[Ledger, list[int]]:
    """A ledger of "[question]reply." turns whose replies have ids above 1,000."""
    ledger, tokens = Ledger(), list[int]()
    for number, (question, reply) in enumerate(turns):
        delta = ("." if number else "S") + f"[{question}]"
        ledger = Ledger((*ledger.segments, Segment(delta, len(delta))))
        ledger = ledger.with_reply(reply, range(1, len(reply) + 1))
        first = 1000 * (number + 1)
        tokens += [*delta.encode(), *range(first, first + len(reply))]
    return ledger, tokens


def test_replies_behind_turns_that_are_left_out_keep_their_ids() -> None:
    ledger, tokens = talk(("first", "aa"), ("second", "bbb"), ("third", "c"))
    plan = ledger.plan("S[second]bbb.[third]c.[new]", tokens, encode)
    assert tokens[: plan.num_kept] + plan.new_tokens == [
        *b"S[second]", 2000, 2001, 2002, *b".[third]", 3000, *b".[new]",
    ]  # fmt: skip
    assert Ledger(plan.segments).num_tokens == plan.num_kept + len(plan.new_tokens)
    assert [segment.text for segment in plan.segments if segment.ends] == ["bbb", "c"]


def test_replies_behind_one_that_the_template_changed_keep_their_ids() -> None:
    ledger, tokens = talk(("first", "think:aa"), ("second", "bbb"))
    plan = ledger.plan("S[first]aa.[second]bbb.[new]", tokens, encode)
    assert plan.new_tokens == [*b"aa.[second]", 2000, 2001, 2002, *b".[new]"]


def test_a_reply_is_not_taken_for_another_one_that_begins_like_it() -> None:
    ledger, tokens = talk(("Hi", "Ho"), ("x", "y"), ("Hi", "Ho!"))
    plan = ledger.plan("S[x]y.[Hi]Ho!.[new]", tokens, encode)
    assert plan.new_tokens[-9:] == [3000, 3001, 3002, *b".[new]"]
    assert 1000 not in plan.new_tokens


def test_a_reply_that_the_template_strips_keeps_its_ids() -> None:
    ledger, tokens = talk(("first", "aa"), ("second", " b "), ("third", "c"))
    plan = ledger.plan("S[second]b.[third]c.[new]", tokens, encode)
    assert tokens[: plan.num_kept] + plan.new_tokens == [
        *b"S[second]", 2000, 2001, 2002, *b".[third]", 3000, *b".[new]",
    ]  # fmt: skip


def test_a_changed_reply_keeps_the_tokens_before_the_change() -> None:
    ledger = Ledger((Segment("a", 1),)).with_reply("wxyz", [1, 3, 4])
    plan = ledger.plan("awxY", [97, 1, 2, 3], encode)
    assert (plan.num_kept, plan.new_tokens) == (2, list(b"xY"))


def test_a_changed_delta_keeps_the_common_tokens() -> None:
    plan = Ledger((Segment("abcd", 4),)).plan("abXd", list(b"abcd"), encode)
    assert (plan.num_kept, plan.new_tokens) == (2, list(b"Xd"))


@pytest.mark.parametrize("ends", [(0, 0), (0, 2), (2, 2)])
def test_tokens_without_text_are_not_kept_when_their_reply_is_gone(ends: tuple[int, ...]) -> None:
    ledger = Ledger((Segment("ab", 2),)).with_reply("xy", ends)
    plan = ledger.plan("ab", [97, 98, 300, 301], encode)
    assert (plan.num_kept, plan.new_tokens) == (2, [])


def test_a_token_without_text_goes_with_the_text_behind_it() -> None:
    ledger = Ledger((Segment("ab", 2),)).with_reply("xy", [0, 2])
    assert ledger.plan("abzy", [97, 98, 300, 301], encode).num_kept == 2


def test_a_reply_of_white_space_that_the_template_strips_is_replaced() -> None:
    ledger = Ledger((Segment("a", 1),)).with_reply("  ", [1, 2])
    plan = ledger.plan("a|b", [97, 32, 32], encode)
    assert (plan.num_kept, plan.new_tokens) == (1, list(b"|b"))


turns = st.lists(
    st.tuples(st.text("ab <|im_end|>中🙂\n", min_size=1, max_size=12), st.integers(0, 4)),
    min_size=1,
    max_size=6,
)


@given(turns, st.sampled_from([CHATML, STRIPPING]))
def test_turn_by_turn_equals_from_scratch(said: list[tuple[str, int]], template: str) -> None:
    """After edits and undos, the tokens are those of a session that never had another past."""
    rig = make_rig(num_blocks=500, template=template)
    kept: list[str] = []
    for text, drop in said:
        message = text + "x"  # never blank
        keep = max(len(kept) - drop, 0) * 2
        rig.chat(message, keep=keep)
        rig.check()
        kept = [*kept[: keep // 2], message]
    straight = make_rig(num_blocks=500, template=template)
    for message in kept:
        straight.chat(message)
    assert rig.tokens() == straight.tokens()
    assert rig.session().messages == straight.session().messages


def test_a_reply_is_never_encoded_again(rigs: Rigs) -> None:
    rig = rigs(choose=saying(PIECE_IDS["the"], PIECE_IDS["中文"], PIECE_IDS["<|im"]))
    for message in ("One", "Two", "Three"):
        rig.chat(message)
    assert rig.tokens().count(PIECE_IDS["the"]) == 3


def test_a_template_that_strips_replies_keeps_them(rigs: Rigs) -> None:
    rig = rigs(choose=saying(PIECE_IDS["\n\n"], " yes ", PIECE_IDS["\n\n"]), template=STRIPPING)
    rig.chat("One")
    before = len(rig.tokens())
    assert rig.chat("Two").figures.reused_tokens == before


def test_thoughts_that_the_template_drops_cost_only_their_own_turn(rigs: Rigs) -> None:
    answer = "a long answer"
    rig = rigs(choose=saying("hmm", PIECE_IDS["</think>"], answer), template=THINKING)
    first = "A first message, which stays"
    rig.chat(first)
    figures = rig.chat("Two").figures
    prefix = f"<|im_start|>user\n{first}<|im_end|>\n<|im_start|>assistant\n"
    new = f"{answer}<|im_end|>\n<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n"
    assert figures.reused_tokens == len(rig.tokenizer.encode(prefix))
    assert figures.prefilled_tokens == len(rig.tokenizer.encode(new))


def test_an_edit_keeps_everything_before_it(rigs: Rigs) -> None:
    rig = rigs(num_blocks=500)
    rig.chat("One")
    kept = len(rig.tokens())
    rig.chat("Two, and then some")
    asked = rig.chat("Two, or something else", keep=2)
    same = len(rig.tokenizer.encode("<|im_end|>\n<|im_start|>user\nTwo, "))
    assert asked.figures.reused_tokens == kept + same


def test_undo_and_the_same_again_prefills_one_token(rigs: Rigs) -> None:
    rig = rigs(num_blocks=500)
    rig.chat("One")
    first = rig.chat("Two")
    for _ in range(3):
        again = rig.chat("Two", keep=2)
        assert again.text == first.text
        assert again.figures.prefilled_tokens == 1


def test_a_regenerated_reply_does_not_hear_the_old_one(rigs: Rigs) -> None:
    """Even when the old one began with a token that has no text."""
    end = SPECIAL_IDS["<|end|>"]
    rig = rigs(choose=saying(end, end))
    rig.chat("Hi")
    rig.model.choose = endless
    params = SamplingParams(temperature=0, max_tokens=9)
    assert rig.chat("Hi", keep=0, params=params).text == make_rig(choose=endless).chat(
        "Hi", params=params
    ).text  # fmt: skip
