from collections.abc import Callable
from dataclasses import replace

import pytest

from engine import events
from engine.conversation import Entry, Node
from engine.metrics import KVSource
from tests.web.fake_engine import FakeEngine, figures
from web import view
from web.frames import Frame
from web.options import Options
from web.startup import Startup, Step

STOP, CANCELLED, LENGTH = (
    events.FinishReason.STOP, events.FinishReason.CANCELLED, events.FinishReason.LENGTH,
)  # fmt: skip
TALK = (Entry(Node(1, None, "user", "u"), (1,)), Entry(Node(2, 1, "assistant", "a"), (2,)))
Started = Callable[[FakeEngine], Startup]


def test_the_text_shown_is_the_text_generated() -> None:
    text = "    def f():\n        pass\n\n  \n"
    talk = [Entry(replace(entry.node, content=text), entry.versions) for entry in TALK]
    shown = view.conversation(talk, {}, "en")
    assert [m["content"][0] for m in shown] == [{"type": "text", "text": text}] * 2


def test_each_reply_carries_its_line() -> None:
    ending = events.Finished(STOP, figures())
    shown = view.conversation(TALK, {2: ending}, "en")
    line = "reused 1,834 (memory) · prefilled 27 · TTFT 0.09 s · 71 tokens/s · saved about 4.1 s"
    assert line in shown[1]["content"][-1]["text"]


@pytest.mark.parametrize(
    ("source", "reused", "start"),
    [
        (KVSource.DISK, 700, "reused 700 (disk)"),
        (KVSource.RECOMPUTED, 0, "reused 0 (recomputed)"),
        (KVSource.MEMORY, 0, "reused 0 ·"),
    ],
)
def test_the_line_says_where_the_kv_came_from(source: KVSource, reused: int, start: str) -> None:
    ending = events.Finished(STOP, figures(reused=reused, source=source, saved_s=None))
    assert view.ending_line(ending, "en").startswith(start)
    assert "saved" not in view.ending_line(ending, "en")


def test_arrows_lead_to_the_versions_of_a_turn() -> None:
    question, reply = replace(TALK[0], versions=(7, 1, 9)), TALK[1]
    arrows = view.conversation([question, reply], {}, "en")[1]["content"][-1]["text"]
    assert 'class="go-7"' in arrows
    assert " 2/3 " in arrows
    assert 'class="go-9"' in arrows
    first = replace(question, versions=(1, 9))
    assert (
        "<button disabled" in view.conversation([first, reply], {}, "en")[1]["content"][-1]["text"]
    )
    assert "versions" not in str(view.conversation(TALK, {}, "en"))


def test_a_line_shows_from_where_on_the_model_sees(started: Started) -> None:
    talk = [
        Entry(replace(entry.node, id=entry.node.id + 2 * turn), (entry.node.id + 2 * turn,))
        for turn in range(3)
        for entry in TALK
    ]
    ending = events.Finished(STOP, figures(first_visible=2))
    shown = view.conversation(talk, {6: ending}, "en")
    assert ["no longer sees" in str(m) for m in shown] == [False, True, False, False, False, False]


def test_a_reply_that_an_end_of_the_program_cut_off_says_so() -> None:
    cut = Entry(replace(TALK[1].node, status="interrupted"), (2,))
    assert "interrupted" in view.conversation([cut], {}, "en")[0]["content"][-1]["text"]
    ending = events.Finished(CANCELLED, figures())
    assert "interrupted" not in str(view.conversation([cut], {2: ending}, "en"))


def test_the_line_says_why_the_reply_ended_early() -> None:
    assert view.ending_line(events.Finished(CANCELLED, figures()), "zh-CN").endswith("已停止")
    assert view.ending_line(events.Finished(LENGTH, figures()), "en").endswith("cut at max tokens")


def test_notes_and_errors_are_shown_as_plain_sentences(started: Started) -> None:
    startup = started(FakeEngine())
    ending = events.Finished(LENGTH, figures(note="The context is <full>."), error="It failed.")
    parts = view.turn(Frame((), "u", "a", finished=ending), startup, "en")[-1]["content"]
    text = "".join(part["text"] for part in parts)
    assert "The context is &lt;full&gt;." in text
    assert "It failed." in text


def test_progress_is_told_until_text_comes(started: Started) -> None:
    startup = started(FakeEngine())

    def title(event: events.Event) -> str:
        last = view.turn(Frame((), "u").after(event), startup, "en")[-1]
        return str(last["metadata"]["title"])

    assert title(events.Queued(0)) == "Waiting; your turn is next"
    assert title(events.Queued(3)) == "Waiting; 3 ahead of you"
    assert title(events.Prefilling(700, 1000)) == "Prefill 70 %"
    shown = view.turn(Frame((), "u").after(events.Text("a")), startup, "en")
    assert "metadata" not in shown[-1]


def test_a_refusal_is_shown_under_the_message_it_refuses(started: Started) -> None:
    shown = view.turn(Frame((), "u", refused="Too long."), started(FakeEngine()), "en")
    assert [m["role"] for m in shown] == ["user", "assistant"]
    assert "Too long." in shown[1]["content"][0]["text"]
    empty = view.turn(Frame((), " ", refused="Empty."), started(FakeEngine()), "en")
    assert [m["role"] for m in empty] == ["assistant"]


def test_the_status_tells_exporting_from_ready_and_failed(options: Options) -> None:
    startup = Startup(options, lambda _options, _progress: FakeEngine().as_engine())
    startup.step = Step("Converting weights", 42)
    assert "Converting weights 42 %" in view.status(startup, "en")
    startup.start()._thread.join()
    assert "fake-model" in view.status(startup, "en")
    startup._failure = "<b>damaged</b>"
    assert "&lt;b&gt;damaged" in view.status(startup, "en")
