from collections.abc import Callable

from engine import Message, events
from tests.web.fake_engine import FakeEngine, figures
from web import view
from web.frames import EndingLog, Frame
from web.options import Options
from web.startup import Startup, Step

STOP, CANCELLED, LENGTH = (
    events.FinishReason.STOP, events.FinishReason.CANCELLED, events.FinishReason.LENGTH,
)  # fmt: skip
Started = Callable[[FakeEngine], Startup]


def test_the_text_shown_is_the_text_generated() -> None:
    text = "    def f():\n        pass\n\n  \n"
    shown = view.conversation([Message("user", text), Message("assistant", text)], {}, "en")
    assert [m["content"][0] for m in shown] == [{"type": "text", "text": text}] * 2


def test_each_reply_carries_its_line() -> None:
    ending = events.Finished(STOP, figures())
    shown = view.conversation([Message("user", "u"), Message("assistant", "a")], {1: ending}, "en")
    assert (
        "reused 1,834 · prefilled 27 · TTFT 0.09 s · 71 tokens/s" in shown[1]["content"][-1]["text"]
    )


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
    startup.failure = "<b>damaged</b>"
    assert "&lt;b&gt;damaged" in view.status(startup, "en")


def test_endings_beyond_a_truncation_are_forgotten() -> None:
    from tests.web.test_turns import ID

    log, ending = EndingLog(), events.Finished(STOP, figures())
    for index in (1, 3, 5):
        log.add(ID, index, ending)
    log.truncate(ID, 4)
    assert list(log.of(ID)) == [1, 3]
    log.forget(ID)
    assert log.of(ID) == {}
