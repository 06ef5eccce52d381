"""Edit, regenerate, undo, and going back to another version: the old branch stays, and its KV."""

from collections.abc import Callable

import pytest

from engine.errors import SessionBusy
from engine.events import FinishReason
from tests.engine.fakes import endless
from tests.engine.rig import Asked, Rig, assistant, make_rig, user

Rigs = Callable[..., Rig]


def prefilled(rig: Rig, asked: Asked) -> int:
    return asked.figures.prefilled_tokens


def delta(rig: Rig, text: str) -> int:
    """Tokens of the next message with its scaffolding."""
    scaffolding = f"<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return len(rig.tokenizer.encode(scaffolding))


def computed(rig: Rig) -> int:
    return sum(sum(step.counts) for step in rig.model.steps)


def test_regenerate_prefills_one_token_and_keeps_the_old_reply(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    old = rig.chat("Second")
    new = rig.chat("Second", keep=2)
    assert new.figures.prefilled_tokens <= 1
    assert new.text == old.text, "the fake is deterministic"
    assert len(rig.versions(2)) == 1, "the message is the same one"
    replies = rig.versions(3)
    assert len(replies) == 2
    contents = [rig.session().conversation.nodes[i].content for i in replies]
    assert contents == [old.text, new.text]


def test_only_the_message_that_stands_there_gets_another_reply(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.chat("Second")
    rig.chat("Second")
    assert [len(rig.versions(i)) for i in range(6)] == [1] * 6, "said again behind it: a new turn"
    rig.chat("One ", keep=0)
    assert len(rig.versions(0)) == 2, "another text: an edit"
    rig.chat("One ", keep=0)
    assert (len(rig.versions(0)), len(rig.versions(1))) == (2, 2)


def test_while_a_reply_is_made_anew_the_old_one_is_not_shown(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One")
    rig.begin("One", keep=0)
    rig.core.step()
    assert rig.session().messages == (user("One"),)
    rig.run()


def test_the_first_reply_can_be_regenerated_too(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    old = rig.chat("One")
    for _ in range(3):
        new = rig.chat("One", keep=0)
        assert new.figures.prefilled_tokens <= 1
        assert new.text == old.text
    assert len(rig.versions(1)) == 4


def test_an_edit_prefills_from_the_first_changed_token_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.chat("What about two?")
    edited = rig.chat("What about three?", keep=2)
    tail = rig.tokenizer.encode("hree?<|im_end|>\n<|im_start|>assistant\n")
    assert edited.figures.prefilled_tokens == len(tail)
    fresh = make_rig(num_blocks=256)
    fresh.chat("One")
    assert edited.text == fresh.chat("What about three?").text


def test_switching_between_versions_prefills_nothing_but_the_next_message(rigs: Rigs) -> None:
    rig = rigs(num_blocks=512)
    rig.chat("One")
    rig.chat("Second", keep=2)
    rig.chat("Three", keep=2)
    two, three = rig.versions(2)
    for version, text in [(two, "Second"), (three, "Three")]:
        before = computed(rig)
        rig.show(version)
        assert computed(rig) == before, "showing a branch computes nothing"
        assert rig.session().messages[2] == user(text)
        asked = rig.chat("And?")
        assert asked.figures.prefilled_tokens == delta(rig, "And?")
        fresh = make_rig(num_blocks=512)
        fresh.chat("One")
        fresh.chat(text)
        assert asked.text == fresh.chat("And?").text


def test_undo_goes_on_from_the_earlier_message_without_prefill(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.chat("Second")
    rig.core.show(rig.session(), rig.session().kept(2)[-1].id)
    asked = rig.chat("Other")
    assert asked.figures.prefilled_tokens <= delta(rig, "Other")
    fresh = make_rig(num_blocks=256)
    fresh.chat("One")
    assert asked.text == fresh.chat("Other").text
    rig.show(rig.versions(2)[0])
    assert rig.session().messages[2] == user("Second"), "what was undone is still there"
    assert rig.chat("Next").figures.prefilled_tokens == delta(rig, "Next")


def test_undoing_everything_and_starting_anew_keeps_both_conversations(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    first = rig.chat("One")
    rig.show(None)
    assert rig.session().messages == ()
    rig.chat("Anew")
    one, anew = rig.versions(0)
    rig.show(one)
    assert rig.session().messages == (user("One"), assistant(first.text))
    rig.show(anew)
    assert rig.session().messages[0] == user("Anew")


def test_a_fork_shares_every_full_block_with_its_origin(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("A first message, long enough for many blocks")
    before = rig.pool.num_used
    rig.core.show(rig.session(), None)
    assert rig.pool.num_used == before
    rig.chat("A first message, long enough for many blocks. Or not?")
    tables = [set(branch.sequence.block_table) for branch in rig.session().branches.values()]
    shared = set.intersection(*tables)
    assert len(shared) >= len("A first message, long enough for many blocks") // rig.block_size
    assert rig.pool.num_used < sum(map(len, tables))


def test_writing_into_one_version_leaves_the_other_as_it_was(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    for message in ("Second", "Twx", "Ty", "Twos"):
        rig.chat(message, keep=2)
    for version, message in zip(rig.versions(2), ("Second", "Twx", "Ty", "Twos"), strict=True):
        rig.show(version)
        fresh = make_rig(num_blocks=256)
        fresh.chat("One")
        fresh.chat(message)
        assert rig.chat("And?").text == fresh.chat("And?").text


def test_a_cancelled_version_stays_beside_the_whole_one(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    whole = rig.chat("One")
    asked = rig.begin("One", keep=0)
    for _ in range(5):
        rig.core.step()
    asked.request.cancelled = True
    rig.core.step()
    assert asked.reason is FinishReason.CANCELLED
    assert whole.text.startswith(asked.text)
    statuses = [rig.session().conversation.nodes[i].status for i in rig.versions(1)]
    assert statuses == ["complete", "interrupted"]
    rig.show(rig.versions(1)[0])
    assert rig.chat("More").figures.prefilled_tokens == delta(rig, "More") + 1


def test_a_version_of_a_busy_conversation_cannot_be_shown(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=endless)
    rig.chat("One")
    rig.begin("Second")
    rig.core.step()
    with pytest.raises(SessionBusy):
        rig.show(rig.versions(0)[0])
    rig.run()


def test_a_deep_tree_of_edits_at_every_place_stays_right(rigs: Rigs) -> None:
    rig = rigs(num_blocks=1024)
    path: list[str] = []
    for depth in range(12):
        rig.chat(f"m{depth}")
        path.append(f"m{depth}")
        if depth % 3 == 2:
            keep = depth // 2
            rig.chat(f"e{depth}", keep=2 * keep)
            path = [*path[:keep], f"e{depth}"]
            rig.check()
    assert [m.content for m in rig.session().messages[::2]] == path
    fresh = make_rig(num_blocks=1024)
    for message in path:
        fresh.chat(message)
    assert fresh.session().messages == rig.session().messages
    assert fresh.chat("End").text == rig.chat("End").text


def test_versions_whose_kv_was_dropped_are_computed_again_correctly(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    rig.chat("One")
    rig.chat("Second")
    rig.chat("Three", keep=2)
    rig.core.evict(rig.session())
    assert rig.pool.num_used == 0
    rig.show(rig.versions(2)[0])
    asked = rig.chat("And?")
    assert str(asked.figures.source) == "recomputed"
    fresh = make_rig(num_blocks=256)
    for message in ("One", "Second"):
        fresh.chat(message)
    assert asked.text == fresh.chat("And?").text


def test_releasing_a_session_with_many_branches_frees_all_of_them(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256)
    for message in ("One", "Second", "Three"):
        rig.chat(message, keep=0)
        rig.show(None)
    session = rig.home.sessions.remove(rig.session().id)  # type: ignore[arg-type]
    assert session is not None
    rig.core.release(session)
    assert rig.pool.num_used == 0
