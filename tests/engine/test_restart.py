"""Conversations over the end of the program, be it clean, a kill, or a disk that does not work."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.conversations import Home, SessionTable, Trouble
from engine.conversations.conversation import Conversation, Feedback
from engine.conversations.home import open_journal
from engine.conversations.session import SessionId
from engine.conversations.store import StoreError
from engine.conversations.store_database import Database
from engine.engine import Engine
from engine.errors import EngineError
from engine.events import Event, Finished, FinishReason
from engine.metrics import KVSource
from engine.scheduling.sampling import SamplingParams
from engine.text.rendering import Setting
from tests.engine.fakes import endless
from tests.engine.rig import Rig, make_loader, make_rig, make_stored_rig, session_id, user

SHORT = SamplingParams(temperature=0, max_tokens=12)
LONG = SamplingParams(temperature=0, max_tokens=400)

Starts = Callable[..., Rig]


@pytest.fixture
def starts() -> Iterator[Starts]:
    """Starts the program over a folder; every rig is checked at the end."""
    made: list[Rig] = []

    def start(folder: Path, **options: Any) -> Rig:
        folder.mkdir(exist_ok=True)
        made.append(make_stored_rig(folder, num_blocks=256, **options))
        return made[-1]

    yield start
    for rig in made:
        rig.check()


def delta(rig: Rig, text: str) -> int:
    scaffolding = f"<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return len(rig.tokenizer.encode(scaffolding))


def test_after_a_clean_end_the_next_turn_prefills_only_its_new_tokens(
    tmp_path: Path, starts: Starts
) -> None:
    first = starts(tmp_path)
    for message in ("One", "Two", "Three"):
        first.chat(message)
    said = first.session().messages
    first.stop()
    rig = starts(tmp_path)
    assert rig.session().messages == said
    asked = rig.chat("Four")
    assert asked.figures.source is KVSource.DISK
    assert asked.figures.prefilled_tokens <= delta(rig, "Four") + 1
    alone = make_rig(num_blocks=256)
    assert asked.text == [alone.chat(m).text for m in ("One", "Two", "Three", "Four")][-1]


def test_many_restarts_in_turn_lose_nothing(tmp_path: Path, starts: Starts) -> None:
    alone = make_rig(num_blocks=256)
    for number in range(5):
        rig = starts(tmp_path)
        assert rig.chat(f"m{number}").text == alone.chat(f"m{number}").text
        rig.rest()
        rig.stop()
    assert starts(tmp_path).session().messages == alone.session().messages


def test_a_turn_cut_short_by_a_clean_end_is_kept_and_goes_on(
    tmp_path: Path, starts: Starts
) -> None:
    first = starts(tmp_path, choose=endless)
    first.chat("One", params=SHORT)
    asked = first.begin("Two", params=LONG)
    while len(asked.text) < 20:
        first.core.step()
    first.stop()
    rig = starts(tmp_path, choose=endless)
    entries = rig.session().transcript
    assert entries[-1].node.content == asked.text
    assert entries[-1].node.status == "interrupted"
    again = rig.chat("Three", params=SHORT)
    assert again.figures.prefilled_tokens <= delta(rig, "Three") + 1
    assert again.figures.source is KVSource.DISK
    assert again.text == first_continued(first, "Three")


def first_continued(stopped: Rig, message: str) -> str:
    """The reply to `message` behind the tokens that the stopped rig had."""
    tokens = stopped.tokens()
    text = f"<|im_end|>\n<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"
    context = tokens + stopped.tokenizer.encode(text)
    for _ in range(SHORT.max_tokens):
        context.append(endless(context))
    return stopped.tokenizer.decode(context[-SHORT.max_tokens :])


def test_versions_survive_a_restart(tmp_path: Path, starts: Starts) -> None:
    first = starts(tmp_path)
    first.chat("One")
    old = first.chat("Two")
    first.chat("Other", keep=2)
    first.stop()
    rig = starts(tmp_path)
    two, other = rig.versions(2)
    rig.show(two)
    assert rig.session().messages[2:4][0] == user("Two")
    assert rig.session().messages[3].content == old.text
    alone = make_rig(num_blocks=256)
    texts = [alone.chat(m).text for m in ("One", "Two", "Three")]
    assert rig.chat("Three").text == texts[-1]
    assert other


def test_regenerating_after_a_restart_prefills_one_token(tmp_path: Path, starts: Starts) -> None:
    first = starts(tmp_path)
    first.chat("One")
    old = first.chat("Two")
    first.stop()
    rig = starts(tmp_path)
    asked = rig.chat("Two", keep=2)
    assert asked.text == old.text
    assert asked.figures.prefilled_tokens <= 1


def test_lines_and_likes_survive_a_restart(tmp_path: Path) -> None:
    session = SessionId("owner", "one")

    def started() -> Engine:
        config = EngineConfig(model_dir=Path("nowhere"), data_dir=tmp_path, debug=True)
        engine = Engine(config, make_loader([])).start()
        engine.open_session(session)
        return engine

    async def said(engine: Engine) -> Finished:
        events = [event async for event in engine.chat(session, "One", params=SHORT)]
        assert isinstance(events[-1], Finished)
        return events[-1]

    async def rate(engine: Engine, feedback: Feedback | None) -> None:
        await engine.rate(session, engine.transcript(session)[1].node.id, feedback)

    first = started()
    ending = asyncio.run(said(first))
    asyncio.run(rate(first, "like"))
    assert first.transcript(session)[1].node.feedback == "like"
    first.close()
    second = started()
    node = second.transcript(session)[1].node
    assert (node.ending, node.feedback) == (ending, "like")
    asyncio.run(rate(second, None))
    second.close()
    third = started()
    assert third.transcript(session)[1].node.feedback is None
    third.close()


def test_what_was_shown_last_is_shown_again(tmp_path: Path, starts: Starts) -> None:
    first = starts(tmp_path)
    first.chat("One")
    first.chat("Two", keep=0)
    first.show(first.versions(0)[0])
    first.stop()
    assert starts(tmp_path).session().messages[0] == user("One")


def test_an_overflow_is_remembered(tmp_path: Path, starts: Starts) -> None:
    first = starts(tmp_path, context_length=150, choose=endless)
    hidden = 0
    while not hidden:
        hidden = first.chat("a message", params=SHORT).figures.first_visible
    first.stop()
    rig = starts(tmp_path, context_length=150, choose=endless)
    assert rig.session().active.num_hidden >= hidden
    assert rig.chat("Hi", params=SHORT).figures.first_visible >= hidden


def test_the_operators_prompt_is_not_prefilled_again(tmp_path: Path, starts: Starts) -> None:
    prompt = "You are kind, and you say little."
    first = starts(tmp_path, system_prompt=prompt)
    text = first.chat("Hi").text
    first.stop()
    rig = starts(tmp_path, system_prompt=prompt)
    assert sum(sum(step.counts) for step in rig.model.steps) <= 1, "its verification"
    assert rig.chat("Hi", "other/one").text == text


def test_another_operators_prompt_is_computed_anew(tmp_path: Path, starts: Starts) -> None:
    starts(tmp_path, system_prompt="You are kind, and you say little.").stop()
    rig = starts(tmp_path, system_prompt="You are kind, and you talk a lot.")
    alone = make_rig(num_blocks=256, system_prompt="You are kind, and you talk a lot.")
    assert rig.chat("Hi").text == alone.chat("Hi").text


@pytest.mark.parametrize("streamed", [0, 1, 30])
def test_files_as_a_kill_in_mid_stream_leaves_them(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch, streamed: int
) -> None:
    monkeypatch.setattr("engine.conversations.journal._STREAM_PERIOD_S", 0.0)
    first = starts(tmp_path / "a", choose=endless)
    whole = first.chat("One", params=SHORT)
    first.save()
    asked = first.begin("Two", params=LONG)
    while len(asked.text) < streamed:
        first.core.step()
    first.home.journal.flush(10)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    rig = starts(tmp_path / "b", choose=endless)
    entries = rig.session().transcript
    assert [e.node.role for e in entries] == ["user", "assistant"] * 2
    assert [e.node.content for e in entries] == ["One", whole.text, "Two", asked.text]
    assert entries[-1].node.status == "interrupted"
    again = rig.chat("Three", params=SHORT)
    assert again.figures.source is KVSource.DISK
    said = [*rig.session().messages[:-1], ("assistant", again.text)]
    if not streamed:  # without a word between them both questions are one
        said[2:5] = [("user", "Two\n\nThree")]
    rendered = "".join(f"{role}\n{content}\n" for role, content in said)
    assert rig.tokenizer.decode(rig.tokens()) + "\n" == rendered
    first.core.cancel_all()


KILLED = """
    import sys, time
    from pathlib import Path
    from engine.conversations import journal
    from engine.scheduling.sampling import SamplingParams
    from tests.engine.fakes import endless
    from tests.engine.rig import make_stored_rig
    journal._STREAM_PERIOD_S = 0.0
    rig = make_stored_rig(Path(sys.argv[1]), num_blocks=4000, choose=endless)
    rig.chat("One", params=SamplingParams(temperature=0, max_tokens=12))
    rig.chat("Spill", "other", params=SamplingParams(temperature=0, max_tokens=12))
    asked = rig.begin("Two", params=SamplingParams(temperature=0, max_tokens=9000))
    shown = ""
    while True:
        rig.core.step()
        if asked.text != shown:
            shown = asked.text
            print(len(shown), flush=True)
        for session, *_ in rig.home.sessions.branches():
            rig.tiers.saving.changed(session)
        rig.tiers.disk._written.clear()
        rig.tiers.saving.step()
        time.sleep(0.005)  # as long as a quick step
"""


def test_kill_9_in_mid_stream_and_mid_spill_loses_nothing_that_was_sent(
    tmp_path: Path, starts: Starts
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) > 60:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    rig = starts(tmp_path, choose=endless)
    entries = rig.session().transcript
    assert [e.node.content for e in entries[::2]] == ["One", "Two"]
    assert [e.node.status for e in entries] == ["complete"] * 3 + ["interrupted"]
    assert len(entries[-1].node.content) > 20
    alone = make_rig(num_blocks=256, choose=endless)
    assert entries[1].node.content == alone.chat("One", params=SHORT).text
    whole = alone.chat("Two", params=LONG).text
    assert whole.startswith(entries[-1].node.content)
    assert rig.chat("Three", params=SHORT).text
    other = make_rig(num_blocks=256, choose=endless)
    texts = [other.chat(m, params=SHORT).text for m in ("Spill", "Next")]
    assert rig.chat("Next", "other", SHORT).text == texts[1]


@pytest.fixture
def locked(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Rig, sqlite3.Connection]]:
    """A rig with one turn, which has little patience, and another program that holds its database."""
    monkeypatch.setattr("engine.conversations.writer.PATIENCE_S", 0.05)
    rig = starts(tmp_path)
    rig.chat("One")
    rig.home.journal.flush(10)
    other = sqlite3.connect(tmp_path / "warmchat.db", isolation_level=None)
    yield rig, other
    other.close()


@pytest.mark.parametrize("keep", [None, 0])
def test_a_turn_in_a_locked_database_is_answered_and_stored_afterwards(
    locked: tuple[Rig, sqlite3.Connection], keep: int | None
) -> None:
    rig, other = locked
    other.execute("BEGIN EXCLUSIVE")
    asked = rig.chat("Two", keep=keep)
    assert asked.reason is FinishReason.STOP
    assert not asked.end.is_stored
    alone = make_rig(num_blocks=256)
    alone.chat("One")
    assert asked.text == alone.chat("Two", keep=keep).text
    assert "Another program" in why_not_stored(rig)
    other.execute("ROLLBACK")
    rig.home.journal.flush(10)
    assert rig.home.journal.error is None
    assert stored_texts(rig)[-2:] == ["Two", asked.text]
    assert rig.chat("Three").end.is_stored


def why_not_stored(rig: Rig) -> str:
    """The sentence, once the first try has failed."""
    while (error := rig.home.journal.error) is None:
        time.sleep(0.001)
    return str(error)


def stored_texts(rig: Rig) -> list[str]:
    """What a program that starts now would find said in the conversation."""
    store = rig.home.journal.store
    assert store is not None
    stored = store.load(*session_id())
    assert stored is not None
    return [node.content for node in Conversation(stored.nodes, stored.head).path(stored.head)]


def test_a_reply_is_finished_when_its_end_is_committed(tmp_path: Path, starts: Starts) -> None:
    rig = starts(tmp_path, choose=endless)
    seen: list[tuple[str, bool]] = []

    class Looking(list[Event | EngineError]):
        """Looks into the store when the end comes."""

        def append(self, event: Event | EngineError) -> None:
            if isinstance(event, Finished):
                seen.append((stored_texts(rig)[-1], event.is_stored))
            super().append(event)

    for number in range(20):
        asked = rig.begin(f"m{number}", params=SHORT)
        asked.events = Looking(asked.events)
        asked.request.emit = asked.events.append
        rig.run()
        assert seen.pop() == (asked.text, True)


def test_running_replies_go_on_while_another_program_holds_the_database(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.conversations.writer.PATIENCE_S", 60.0)
    rig = starts(tmp_path, choose=endless)
    running = rig.begin("One", params=SamplingParams(temperature=0, max_tokens=900))
    while len(running.text) < 10:
        rig.step()
    other = sqlite3.connect(tmp_path / "warmchat.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    second = rig.begin("Two", "other", SHORT)
    before = len(running.text)
    while len(running.text) < before + 200:
        rig.core.step()
    assert not second.events, "its message is not stored yet"
    other.execute("ROLLBACK")
    other.close()
    rig.run()
    assert (running.end.is_stored, second.end.is_stored) == (True, True)
    assert stored_texts(rig) == ["One", running.text]


def test_what_could_not_be_stored_is_stored_at_a_clean_end_in_its_order(
    locked: tuple[Rig, sqlite3.Connection], tmp_path: Path, starts: Starts
) -> None:
    rig, other = locked
    other.execute("BEGIN IMMEDIATE")
    texts = [rig.chat(message).text for message in ("Two", "Three", "Four")]
    other.execute("ROLLBACK")
    rig.stop()
    messages = starts(tmp_path).session().messages
    assert [m.content for m in messages][2:] == [
        "Two",
        texts[0],
        "Three",
        texts[1],
        "Four",
        texts[2],
    ]


def test_a_conversation_that_is_not_stored_yet_is_closed_and_opened_as_it_was(
    locked: tuple[Rig, sqlite3.Connection],
) -> None:
    rig, other = locked
    other.execute("BEGIN IMMEDIATE")
    rig.chat("Two")
    session = rig.home.sessions.remove(session_id())
    assert session is not None
    said = session.messages
    rig.core.release(session)
    assert rig.session().messages == said
    other.execute("ROLLBACK")


def test_when_too_much_is_not_stored_new_turns_are_refused_and_nothing_is_changed(
    locked: tuple[Rig, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, other = locked
    other.execute("BEGIN IMMEDIATE")
    rig.chat("Two")
    assert why_not_stored(rig)
    monkeypatch.setattr("engine.conversations.writer.MAX_WAITING_BYTES", 1000)
    before = (rig.session().transcript, rig.tokens(), rig.pool.num_used)
    with pytest.raises(StoreError, match="could not be stored yet: Another program"):
        rig.begin("Three")
    assert (rig.session().transcript, rig.tokens(), rig.pool.num_used) == before
    rig.check()
    other.execute("ROLLBACK")
    rig.home.journal.flush(10)
    assert rig.chat("Three").end.is_stored


def test_a_turn_is_stored_with_its_reply_or_not_at_all(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = starts(tmp_path)
    rig.chat("One")
    store = rig.home.journal.store
    assert store is not None

    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_mark_changed", fail)
        asked = rig.chat("Two")
        assert len(stored_texts(rig)) == 2
    assert not asked.end.is_stored
    rig.home.journal.flush(10)
    assert stored_texts(rig)[2:] == ["Two", asked.text]


def test_of_a_reply_that_cannot_be_stored_only_its_newest_state_waits(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.conversations.journal._STREAM_PERIOD_S", 0.0)
    monkeypatch.setattr("engine.conversations.writer.LONGEST_PAUSE_S", 0.0)
    rig, tries = starts(tmp_path, choose=endless), 0
    asked = rig.begin("One", params=SHORT)
    while not asked.text:
        rig.step()
    journal, node_id = rig.home.journal, rig.session().conversation.head
    assert journal.store is not None
    assert journal._writer is not None
    assert node_id is not None

    def fail(*_arguments: object) -> None:
        nonlocal tries
        tries += 1
        raise StoreError("The disk is away.", Trouble.BROKEN)

    with monkeypatch.context() as patched:
        patched.setattr(journal.store, "update_message", fail)
        for number in range(50):
            journal.stream(rig.session(), node_id, f"text {number}")
            before = tries
            while tries == before:  # it is tried at least once between two states
                time.sleep(0)
            assert journal._writer.num_waiting <= 3
    rig.run()
    rig.home.journal.flush(10)
    assert stored_texts(rig)[-1] == asked.text


def test_going_back_in_a_locked_database_is_stored_afterwards(
    locked: tuple[Rig, sqlite3.Connection],
) -> None:
    rig, other = locked
    other.execute("BEGIN IMMEDIATE")
    rig.show(None)
    assert rig.session().messages == ()
    assert len(stored_texts(rig)) == 2
    other.execute("ROLLBACK")
    rig.home.journal.flush(10)
    assert stored_texts(rig) == []


def test_two_programs_in_one_folder_store_what_each_was_told(
    tmp_path: Path, starts: Starts
) -> None:
    one, two = starts(tmp_path), starts(tmp_path)
    told = [
        (rig.chat(f"{i}", f"{rig is one}").text, rig is one, i)
        for i in range(3)
        for rig in (one, two)
    ]
    store = one.home.journal.store
    assert store is not None
    for text, which, i in told:
        stored = store.load(*session_id(f"{which}"))
        assert stored is not None
        assert text in [node.content for node in stored.nodes.values()], i


def test_on_a_full_disk_messages_take_the_room_of_cached_kv(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = starts(tmp_path)
    for name in ("one", "two"):
        rig.chat("One", name)
    rig.save()
    assert rig.tiers.disk is not None
    folder = rig.tiers.disk.folder
    assert len(folder) == 2

    def is_full(_database: Database) -> None:
        if len(folder) > 1:
            raise StoreError("The disk is full.", Trouble.FULL)

    monkeypatch.setattr(Database, "check_place", is_full)
    asked = rig.chat("Two")
    assert asked.end.is_stored
    assert len(folder) == 1
    assert stored_texts(rig)[2:] == ["Two", asked.text]


def test_a_folder_that_is_deleted_under_the_program_is_said(
    tmp_path: Path, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.conversations.writer.PATIENCE_S", 0.05)
    folder = tmp_path / "data"
    rig = starts(folder)
    rig.chat("One")
    folder.rename(tmp_path / "elsewhere")
    asked = rig.chat("Two")
    assert not asked.end.is_stored
    assert rig.home.journal.storage.trouble is Trouble.GONE
    (tmp_path / "elsewhere").rename(folder)
    rig.home.journal.flush(10)
    assert rig.home.journal.storage.trouble is None
    assert stored_texts(rig)[2:] == ["Two", asked.text]


def test_a_data_folder_that_cannot_be_written_means_memory_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    journal = open_journal(EngineConfig(model_dir=tmp_path, data_dir=in_the_way / "data"))
    assert journal.store is None
    assert "memory only" in caplog.text
    assert journal.storage.trouble is Trouble.UNOPENABLE
    rig = make_rig(home=Home(SessionTable(journal.load), journal, lambda: None))
    assert not rig.chat("One").end.is_stored


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_data_folder_means_memory_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    journal = open_journal(EngineConfig(model_dir=tmp_path, data_dir=folder))
    assert journal.store is None


def test_a_database_that_refuses_writing_means_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EngineConfig(model_dir=tmp_path, data_dir=tmp_path)
    open_journal(config).close()
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(f"file:{path}?mode=ro", uri=True, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert open_journal(config).storage.trouble is Trouble.READ_ONLY


def test_a_draft_after_a_restart_does_no_harm(tmp_path: Path, starts: Starts) -> None:
    first = starts(tmp_path)
    first.chat("One")
    first.stop()
    rig = starts(tmp_path)
    rig.core.draft(rig.session(), "Two, or so", Setting())
    rig.core.parts.idle.step()
    asked = rig.chat("Two, or so")
    alone = make_rig(num_blocks=256)
    assert asked.text == [alone.chat(m).text for m in ("One", "Two, or so")][-1]


def test_a_session_closed_and_opened_at_once_has_what_was_said(
    tmp_path: Path, starts: Starts
) -> None:
    rig = starts(tmp_path, choose=endless)
    asked = rig.begin("Hi", params=LONG)
    while len(asked.text) < 20:
        rig.core.step()
    session = rig.home.sessions.remove(session_id())
    assert session is not None
    early = rig.home.sessions.open(session_id()).transcript[-1].node
    assert early.status == "interrupted"
    rig.home.sessions.remove(session_id())
    rig.core.release(session)
    late = rig.home.sessions.open(session_id()).transcript[-1].node
    assert (late.content, late.status) == (asked.text, "interrupted")
