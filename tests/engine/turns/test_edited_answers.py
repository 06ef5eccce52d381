"""An answer that a person edits: a version of its own, and the KV that stays up to the change."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import EmptyMessage, MessageTooLong, RequestError, SessionBusy
from engine.events import FinishReason
from engine.scheduling.sampling import SamplingParams
from engine.text.rendering import Setting
from tests.engine.fakes import EOS, PIECE_IDS, endless, saying
from tests.engine.rig import Rig, assistant, make_rig, make_stored_rig, user

Rigs = Callable[..., Rig]
ONE = "<|im_start|>user\nOne<|im_end|>\n<|im_start|>assistant\n"
TWO = "<|im_end|>\n<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n"
SHORT = SamplingParams(temperature=0, max_tokens=9)


def count(rig: Rig, text: str) -> int:
    return len(rig.tokenizer.encode(text))


def computed(rig: Rig) -> int:
    return sum(sum(step.counts) for step in rig.model.steps)


def asked_for(rig: Rig) -> int:
    """The id of the reply that is being written."""
    head = rig.session().conversation.head
    assert head is not None
    return head


def from_scratch(*texts: str) -> str:
    """What a model says behind these messages, none of which it has said itself."""
    rig = make_rig(num_blocks=256)
    prompt = "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for role, text in zip(["user", "assistant"] * len(texts), texts, strict=False)
    )
    tokens = rig.tokenizer.encode(prompt + "<|im_start|>assistant\n")
    said: list[int] = []
    while (token := rig.model.choose(tokens + said)) != EOS and len(said) < 40:
        said.append(token)
    return rig.tokenizer.decode(said)


def test_only_what_follows_the_first_changed_token_is_prefilled(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("It is Paris, of course."))
    rig.chat("One")
    rig.edit(1, "It is Lyon, of course.")
    figures = rig.chat("Two").figures
    assert figures.reused_tokens == count(rig, ONE + "It is ")
    assert figures.prefilled_tokens == count(rig, "Lyon, of course." + TWO)
    assert str(figures.source) == "memory"


def test_the_model_goes_on_from_the_edited_answer(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.model.choose = saying("It is Paris.")
    rig.chat("One")
    rig.edit(1, "It is Lyon.")
    rig.model.choose = make_rig().model.choose
    assert rig.chat("Two").text == from_scratch("One", "It is Lyon.", "Two")
    said = rig.session().messages
    assert said[:3] == (user("One"), assistant("It is Lyon."), user("Two"))


def test_an_edited_answer_is_prefilled_while_the_next_message_is_typed(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("It is Paris, of course."))
    rig.chat("One")
    rig.edit(1, "It is Lyon, of course.")
    rig.core.draft(rig.session(), "Two", Setting())
    rig.rest()
    figures = rig.chat("Two").figures
    assert figures.reused_tokens >= count(rig, ONE + "It is Lyon, of course.")
    assert figures.prefilled_tokens < count(rig, TWO)


def test_an_edit_computes_nothing_and_says_nothing(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.rest()
    before, blocks = computed(rig), rig.pool.num_used
    rig.edit(1, "Else")
    assert (computed(rig), rig.pool.num_used) == (before, blocks)
    assert not rig.core.has_work
    node = rig.session().transcript[1].node
    assert (node.status, node.ending, node.is_edited) == ("complete", None, True)


def test_what_follows_an_edited_answer_stays_with_its_old_version(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    first, second = rig.chat("One"), rig.chat("Two")
    rig.edit(1, "Else")
    assert rig.session().messages == (user("One"), assistant("Else"))
    old, edited = rig.versions(1)
    rig.show(old)
    said = (user("One"), assistant(first.text), user("Two"), assistant(second.text))
    assert rig.session().messages == said
    assert not rig.session().transcript[1].node.is_edited
    three = rig.chat("And?").figures
    assert three.reused_tokens >= count(rig, ONE + TWO), "its KV is all there"
    rig.show(edited)
    assert rig.session().messages == (user("One"), assistant("Else"))


def test_the_kv_of_the_version_that_is_edited_is_kept_and_not_that_of_the_last(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("Red, green and blue."))
    rig.chat("One")
    rig.model.choose = saying("Three of them.")
    rig.chat("One", keep=0)
    rig.show(rig.versions(1)[0])
    rig.show(rig.versions(1)[1])
    rig.show(rig.versions(1)[0])
    rig.edit(1, "Red, green and black.")
    assert rig.chat("Two").figures.reused_tokens == count(rig, ONE + "Red, green and bl")
    assert len(rig.versions(1)) == 3


@pytest.mark.parametrize("cut", ["It is", "It is Paris"])
def test_an_answer_that_is_only_cut_keeps_all_that_is_left(rigs: Rigs, cut: str) -> None:
    rig = rigs(num_blocks=256, choose=saying("It is Paris, of course."))
    rig.chat("One")
    rig.edit(1, cut)
    figures = rig.chat("Two").figures
    assert figures.reused_tokens == count(rig, ONE + cut)
    assert figures.prefilled_tokens == count(rig, TWO)


def test_a_token_that_the_change_falls_into_is_computed_again(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("x", PIECE_IDS["the"], "y"))
    rig.chat("One")
    rig.edit(1, "xthy")
    assert rig.chat("Two").figures.reused_tokens == count(rig, ONE + "x")


def test_the_same_text_makes_no_version(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    said = rig.chat("One")
    rig.edit(1, said.text)
    assert len(rig.versions(1)) == 1
    assert not rig.session().transcript[1].node.is_edited


def test_an_edited_answer_goes_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One", params=SHORT)
    rig.edit(1, "Once upon")
    assert rig.session().transcript[1].node.is_unfinished
    more = rig.more(params=SHORT)
    assert more.figures.prefilled_tokens <= count(rig, "Once upon")
    node = rig.session().transcript[1].node
    assert (node.content, node.ending, node.is_edited) == ("Once upon" + more.text, more.end, True)
    assert len(rig.versions(1)) == 2, "the edited one itself goes on"
    rig.check()
    known = rig.session().active.ledger.num_tokens
    assert rig.chat("Two").figures.reused_tokens >= known - 1


def test_an_answer_cut_in_the_middle_goes_on_as_the_model_would(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("one two three four"))
    rig.chat("One")
    rig.edit(1, "one two")
    more = rig.more()
    assert more.figures.prefilled_tokens == 1
    assert rig.session().messages[1] == assistant("one two three four")
    assert not rig.session().transcript[1].node.is_unfinished


def test_an_edited_answer_that_was_answered_goes_on_in_an_edited_version(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One", params=SHORT)
    rig.edit(1, "Once upon")
    rig.chat("Two", params=SHORT)
    rig.core.show(rig.session(), rig.session().kept(2)[-1].id)  # undo
    rig.more(params=SHORT)
    assert [rig.session().conversation.nodes[i].is_edited for i in rig.versions(1)] == [
        False, True, True,
    ]  # fmt: skip


def test_another_reply_to_the_same_question_is_the_models_own(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    first = rig.chat("One")
    rig.edit(1, "Else")
    again = rig.chat("One", keep=0)
    assert again.text == first.text
    assert not rig.session().transcript[1].node.is_edited
    assert len(rig.versions(1)) == 3


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_answer_without_a_word_is_refused(rigs: Rigs, text: str) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    before = rig.session().transcript
    with pytest.raises(EmptyMessage, match="answer is empty"):
        rig.edit(1, text)
    assert rig.session().transcript == before


def test_an_answer_longer_than_the_context_is_refused(rigs: Rigs) -> None:
    rig = rigs(num_blocks=16, context_length=64)
    rig.chat("One")
    before = rig.session().transcript
    with pytest.raises(MessageTooLong, match="context holds 64"):
        rig.edit(1, "x" * 64)
    assert rig.session().transcript == before


def test_only_an_answer_of_the_conversation_can_be_edited(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.chat("One", name="two")
    theirs = rig.session("two").transcript[1].node.id
    for node_id in (rig.session().transcript[0].node.id, 999):
        with pytest.raises(RequestError, match="no such answer"):
            rig.core.edit(rig.session(), node_id, "Else")
    rig.core.edit(rig.session("two"), theirs, "Else")
    assert len(rig.session().transcript[1].versions) == 1


def test_nothing_is_edited_while_an_answer_is_being_written(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One", params=SHORT)
    asked = rig.begin("Two", params=SHORT)
    rig.core.step()
    for node_id in (*rig.versions(1), asked_for(rig)):
        with pytest.raises(SessionBusy):
            rig.core.edit(rig.session(), node_id, "Else")
    rig.run()
    assert asked.reason is FinishReason.LENGTH
    rig.edit(3, "Else")


def test_an_edited_answer_survives_a_restart_with_its_kv_up_to_the_change(tmp_path: Path) -> None:
    says = saying("It is Paris, of course.")
    first = make_stored_rig(tmp_path, num_blocks=256, choose=says)
    first.chat("One")
    first.edit(1, "It is Lyon, of course.")
    first.stop()
    rig = make_stored_rig(tmp_path, num_blocks=256, choose=says)
    node = rig.session().transcript[1].node
    assert (node.content, node.is_edited) == ("It is Lyon, of course.", True)
    assert len(rig.versions(1)) == 2
    figures = rig.chat("Two").figures
    assert str(figures.source) == "disk"
    assert figures.reused_tokens == count(rig, ONE + "It is ")
    assert figures.prefilled_tokens == count(rig, "Lyon, of course." + TWO)
    rig.check()
    rig.stop()


def test_an_edit_of_an_older_version_keeps_its_kv_over_a_restart(tmp_path: Path) -> None:
    first = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    long = first.chat("One", params=SHORT)
    first.save()
    first.chat("One", keep=0, params=SamplingParams(temperature=0, max_tokens=1))
    first.show(first.versions(1)[0])
    first.edit(1, f"{long.text[:-1]}Q")
    first.stop()
    rig = make_stored_rig(tmp_path, num_blocks=256, choose=endless)
    figures = rig.chat("Two", params=SHORT).figures
    assert figures.reused_tokens == count(rig, ONE) + long.figures.generated_tokens - 1
    rig.check()
    rig.stop()
