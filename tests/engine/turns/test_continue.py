"""A reply that was cut off, stopped or interrupted goes on where it ended."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import MessageTooLong, RequestError, SessionBusy
from engine.events import FinishReason
from engine.scheduling.sampling import SamplingParams
from engine.text.rendering import Setting
from tests.engine.fakes import PIECE_IDS, endless, saying
from tests.engine.rig import Rig, make_rig, make_stored_rig, user

Rigs = Callable[..., Rig]


def at_most(max_tokens: int, *stop: str) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=max_tokens, stop=stop)


def in_one_go(count: int, *messages: str) -> str:
    """The last reply of `count` tokens, in a conversation of its own."""
    rig = make_rig(num_blocks=256, choose=endless)
    return [rig.chat(message, params=at_most(count)).text for message in messages][-1]


def test_a_cut_reply_goes_on_as_if_it_had_never_ended(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    first = rig.chat("One", params=at_most(9))
    rig.rest()
    more = rig.more(params=at_most(11))
    assert first.text + more.text == in_one_go(20, "One")
    assert rig.session().messages[1].content == first.text + more.text
    assert len(rig.versions(1)) == 1, "it is the same message"
    assert rig.session().transcript[1].node.ending == more.end


def always_z(_context: list[int]) -> int:
    return ord("z")


@pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
def test_penalties_count_the_first_part_of_a_reply_that_goes_on(rigs: Rigs, penalty: str) -> None:
    def params(max_tokens: int) -> SamplingParams:
        return replace(at_most(max_tokens), **{penalty: 50.0})  # type: ignore[arg-type]

    whole = make_rig(num_blocks=256, choose=always_z).chat("One", params=params(4)).text
    assert not whole.startswith("zz"), "the model says z again and again but for the penalty"
    rig = rigs(num_blocks=256, choose=always_z)
    first = rig.chat("One", params=params(1))
    assert first.text + rig.more(params=params(3)).text == whole


def test_penalties_count_what_a_person_has_written_in_a_reply_that_goes_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=always_z)
    rig.chat("z?", params=at_most(1))
    params = SamplingParams(temperature=0, max_tokens=1, presence_penalty=50.0)
    rig.edit(1, "Not this")
    assert rig.more(params=params).text == "z", "the question's letters do not count"
    rig.edit(1, "Not this z")
    assert rig.more(params=params).text != "z"


def test_going_on_prefills_at_most_one_token_even_behind_what_was_prefilled_ahead(
    rigs: Rigs,
) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One", params=at_most(9))
    assert rig.more(params=at_most(9)).figures.prefilled_tokens <= 1
    rig.core.draft(rig.session(), "some words that are being typed", Setting())
    rig.rest()
    assert rig.more(params=at_most(9)).figures.prefilled_tokens <= 1
    rig.chat("Two", params=at_most(9))
    assert rig.session().messages[1].content == in_one_go(27, "One")


def test_the_turn_behind_a_continued_reply_prefills_only_its_message(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One", params=at_most(5))
    for count in (6, 1, 7):
        rig.more(params=at_most(count))
        rig.check()
    assert len(rig.session().active.ledger.segments) == 2, "the prompt and one whole reply"
    asked = rig.chat("Two", params=at_most(9))
    scaffolding = "<|im_end|>\n<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n"
    assert asked.figures.prefilled_tokens == len(rig.tokenizer.encode(scaffolding)) + 1
    alone = make_rig(num_blocks=256, choose=endless)
    alone.chat("One", params=at_most(19))
    assert asked.text == alone.chat("Two", params=at_most(9)).text


def test_a_special_string_whose_halves_came_in_two_turns_is_kept(rigs: Rigs) -> None:
    halves = (PIECE_IDS["<|im"], PIECE_IDS["_end|>"])
    rig = rigs(num_blocks=256, choose=saying("ab", *halves, "more"))
    rig.chat("One", params=at_most(3))
    rig.more(params=at_most(2))
    rig.more(params=at_most(40))
    rig.check()
    assert rig.session().messages[1].content == "ab<|im_end|>more"
    reply = rig.session().active.ledger.segments[-1]
    assert reply.ends == (1, 2, 7, 13, 14, 15, 16, 17), "one character splits the special string"
    assert rig.session().transcript[1].node.ending.reason is FinishReason.STOP  # type: ignore[union-attr]
    known = rig.session().active.ledger.num_tokens
    assert rig.chat("Two", params=at_most(3)).figures.reused_tokens >= known - 1


def test_a_stopped_reply_goes_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    asked = rig.begin("One", params=at_most(40))
    while len(asked.text) < 10:
        rig.core.step()
    asked.request.cancelled = True
    rig.core.step()
    shown = rig.session().transcript[1].node
    assert (shown.status, shown.is_unfinished) == ("interrupted", True)
    count = asked.figures.generated_tokens
    more = rig.more(params=at_most(10))
    assert asked.text + more.text == in_one_go(count + 10, "One")
    assert rig.session().transcript[1].node.status == "complete"


def test_a_reply_that_was_stopped_before_its_first_word_goes_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless, max_num_batched_tokens=8)
    asked = rig.begin("One, and quite a long one")
    rig.core.step()
    asked.request.cancelled = True
    rig.core.step()
    assert rig.session().messages[1].content == ""
    rig.more(params=at_most(8))
    assert rig.session().messages[1].content == in_one_go(8, "One, and quite a long one")


def test_a_whole_reply_cannot_be_continued(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("Done."))
    with pytest.raises(RequestError, match="nothing to continue"):
        rig.more()
    rig.chat("One")
    before = rig.session().transcript
    with pytest.raises(RequestError, match="nothing to continue"):
        rig.more()
    assert rig.session().transcript == before


def test_a_reply_that_is_being_continued_is_busy_and_can_be_stopped(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    first = rig.chat("One", params=at_most(5))
    asked = rig.begin_more(params=at_most(40))
    rig.core.step()
    with pytest.raises(SessionBusy):
        rig.begin_more()
    rig.core.step()
    asked.request.cancelled = True
    rig.core.step()
    assert asked.reason is FinishReason.CANCELLED
    assert rig.session().messages[1].content == first.text + asked.text
    assert rig.session().transcript[1].node.is_unfinished


def test_a_reply_that_was_answered_already_is_continued_in_a_version_of_its_own(
    rigs: Rigs,
) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    first = rig.chat("One", params=at_most(5))
    rig.chat("Two", params=at_most(5))
    rig.core.show(rig.session(), rig.session().kept(2)[-1].id)  # undo
    more = rig.more(params=at_most(6))
    assert more.figures.prefilled_tokens <= 1
    old, new = rig.versions(1)
    assert len(rig.session().messages) == 2
    assert rig.session().messages[1].content == first.text + more.text == in_one_go(11, "One")
    rig.show(old)
    assert rig.session().messages[1].content == first.text, "what the model saw then"
    assert rig.session().messages[2] == user("Two")
    assert new > old


def test_a_reply_that_fills_the_context_cannot_go_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=16, context_length=64, choose=endless)
    asked = rig.chat("One", params=at_most(100))
    assert asked.reason is FinishReason.LENGTH
    with pytest.raises(MessageTooLong, match="cannot go on"):
        rig.more()


def test_a_reply_with_another_system_prompt_is_computed_again_and_goes_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    first = rig.chat("One", params=at_most(9))
    more = rig.more(params=at_most(5), system="Be brief")
    assert more.figures.reused_tokens < 20
    assert rig.session().messages[1].content == first.text + more.text
    assert rig.chat("Two", system="Be brief").reason


def test_a_reply_goes_on_after_a_restart_from_its_kv_on_disk(tmp_path: Path) -> None:
    first = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    said = first.chat("One", params=at_most(20))
    first.rest()
    first.stop()
    rig = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    more = rig.more(params=at_most(9))
    assert str(more.figures.source) == "disk"
    assert more.figures.prefilled_tokens <= 1
    assert said.text + more.text == in_one_go(29, "One")
    rig.rest()
    rig.stop()
    rig.check()
    again = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    assert again.session().messages[1].content == said.text + more.text
    asked = again.chat("Two", params=at_most(5))
    assert str(asked.figures.source) == "disk"
    alone = make_rig(num_blocks=256, choose=endless)
    alone.chat("One", params=at_most(29))
    assert asked.text == alone.chat("Two", params=at_most(5)).text
    again.check()
    again.stop()


def test_a_reply_that_a_kill_interrupted_is_continued_or_made_anew(tmp_path: Path) -> None:
    killed = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    asked = killed.begin("One", params=at_most(40))
    while len(asked.text) < 15:
        killed.core.step()
    reply = killed.session().conversation.head
    store = killed.home.journal.store
    assert store is not None
    assert reply is not None
    store.update_message("owner", reply, asked.text, "streaming")  # as once a second; then kill -9
    rig = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    node = rig.session().transcript[1].node
    assert (node.content, node.status, node.ending) == (asked.text, "interrupted", None)
    assert node.is_unfinished
    more = rig.more(params=at_most(9))
    rig.check()
    assert rig.session().messages[1].content == asked.text + more.text
    rig.chat("One", keep=0, params=at_most(20))
    old, new = rig.versions(1)
    assert rig.session().conversation.nodes[new].content == in_one_go(20, "One")
    rig.show(old)
    asked = rig.chat("Two", params=at_most(5))
    rig.check()
    rig.stop()
