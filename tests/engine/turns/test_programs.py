"""Conversations of programs: what is asked once leaves memory first, and nobody names it."""

from pathlib import Path

import pytest

from engine.conversations.store import StoreError
from engine.turns.turn import TurnRequest
from tests.engine.rig import GREEDY, make_rig, make_stored_rig, session_id

CHAT, ONCE = "person/chat", "api:ann/once"


def test_what_was_asked_once_leaves_memory_before_older_talk() -> None:
    rig = make_rig()
    rig.chat("Hello", CHAT)
    rig.chat("A title, please", ONCE)
    rig.rest()
    held = rig.session(ONCE).num_blocks
    rig.tiers.reclaim(1)
    assert (rig.session(ONCE).num_blocks, held > 0) == (0, True)
    assert rig.session(CHAT).num_blocks > 0


def test_what_was_asked_once_is_on_no_disk_until_somebody_goes_on(tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path)
    rig.chat("Hello", ONCE)
    rig.save()
    assert rig.tiers.saving.num_saved == 0
    rig.chat("And?", ONCE)
    rig.save()
    assert rig.tiers.saving.num_saved == 1
    rig.stop()


def test_at_the_programs_end_it_is_saved_too(tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path)
    rig.chat("Hello", ONCE)
    rig.stop()
    again = make_stored_rig(tmp_path)
    asked = again.chat("And?", ONCE)
    assert asked.figures.reused_tokens > 4
    again.stop()


def test_programs_conversations_get_no_titles(tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path)
    rig.chat("Hello", ONCE)
    assert not rig.core.parts.idle.titles.has_work
    rig.chat("Hello", CHAT)
    assert rig.core.parts.idle.titles.has_work
    assert session_id(ONCE).is_programs
    rig.stop()


def test_a_branch_that_cannot_be_stored_holds_no_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_stored_rig(tmp_path)
    rig.chat("Hello", ONCE)
    monkeypatch.setattr("engine.conversations.writer.MAX_WAITING_BYTES", 0)
    source, target = rig.session(ONCE), rig.session("api:ann/other")
    with pytest.raises(StoreError):
        rig.core.parts.sharing.branch_off(source, target, source.messages)
    rig.check()
    rig.stop()


def test_a_message_that_was_said_already_is_asked_again_in_its_own_words() -> None:
    rig = make_rig()
    rig.chat("Hello", ONCE)
    request = TurnRequest(session_id(ONCE), " Hello\n", GREEDY, lambda _: None, behind=())
    again = rig.submit(request)
    rig.run()
    assert again.figures.prefilled_tokens == 1
    assert len(rig.versions(1, ONCE)) == 2
