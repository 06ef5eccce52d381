import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine import events
from engine.conversations.conversation import Entry, Feedback, Node
from engine.metrics import KVSource
from tests.scripted import Engines, ScriptedEngine
from tests.web.figures import figures
from web import view
from web.files import read_page
from web.options import Options
from web.startup import Startup, Step
from web.turns.frames import Frame
from web.turns.history import user_texts

STOP, CANCELLED, LENGTH = (
    events.FinishReason.STOP, events.FinishReason.CANCELLED, events.FinishReason.LENGTH,
)  # fmt: skip
TALK = (Entry(Node(1, None, "user", "u"), (1,)), Entry(Node(2, 1, "assistant", "a"), (2,)))


def said(reason: events.FinishReason, **numbers: Any) -> list[Entry]:
    """The talk, whose answer ended so."""
    node = replace(TALK[1].node, ending=events.Finished(reason, figures(**numbers)))
    return [TALK[0], replace(TALK[1], node=node)]


@pytest.fixture
def startup(engines: Engines, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engines())


def test_the_text_shown_is_the_text_generated() -> None:
    text = "    def f():\n        pass\n\n  \n"
    talk = [Entry(replace(entry.node, content=text), entry.versions) for entry in TALK]
    shown = view.conversation(talk, "en")
    assert read_page(shown[0]["content"][0]["text"]).typed == text
    assert shown[1]["content"][0] == {"type": "text", "text": text}


def test_each_reply_carries_its_line() -> None:
    shown = view.conversation(said(STOP), "en")
    line = shown[1]["content"][1]["text"]
    all_of_it = "first token 0.09 s · reused 1,834 (memory) · new 27 · 71 tokens/s"
    assert f'<span class="turn-line" title="{all_of_it}">' in line
    assert re.findall(r'<span class="(first|more|rate|why)">([^<]*)</span>', line) == [
        ("first", "first token 0.09 s"), ("more", " · reused 1,834 · new 27"), ("rate", " · 71 tokens/s"),
    ]  # fmt: skip


def test_a_saving_is_claimed_only_for_an_answer_that_came_and_had_a_turn_before_it() -> None:
    again = [*said(STOP), *said(STOP)]
    titles = [
        re.findall('title="(first token[^"]*)"', str(m)) for m in view.conversation(again, "en")
    ]
    assert ["saved about 4.1 s" in str(title) for title in titles] == [False, False, False, True]
    stopped = events.Finished(CANCELLED, replace(figures(prefilled=0), ttft_s=None, itl_s=None))
    assert view.ending_line(stopped, "en") == "stopped"


@pytest.mark.parametrize(
    ("source", "reused", "start"),
    [
        (KVSource.DISK, 700, "reused 700 (disk) · new 27"),
        (KVSource.RECOMPUTED, 24, "reused 24 · read again 27, no longer kept"),
        (KVSource.MEMORY, 0, "reused 0 · new 27"),
    ],
)
def test_the_line_says_where_the_kv_came_from(source: KVSource, reused: int, start: str) -> None:
    ending = events.Finished(STOP, figures(reused=reused, source=source, saved_s=None))
    assert f" · {start} · " in view.ending_line(ending, "en")
    assert ("no longer there" in view.ending_line(ending, "en")) is ("again" in start)
    assert "saved" not in view.ending_line(ending, "en")


def test_an_answer_that_is_not_stored_yet_says_so_in_the_readers_language(
    startup: Startup,
) -> None:
    finished = events.Finished(STOP, figures())
    frame = Frame(tuple(said(STOP)), "u", "a", finished=finished, is_whole=True)
    assert view.turn(frame, startup, "zh-CN") == []
    late = replace(frame, finished=replace(finished, is_stored=False))
    (notice,) = view.turn(late, startup, "zh-CN")
    assert "尚未保存" in notice["content"][0]["text"]


def test_arrows_lead_to_the_versions_of_an_answer() -> None:
    reply = replace(TALK[1], versions=(7, 2, 9))
    shown = view.conversation([TALK[0], reply], "en")
    assert [m["role"] for m in shown] == ["user", "assistant"]
    tools = shown[1]["content"][-1]["text"]
    assert 'class="go-7"' in tools
    assert " 2/3 " in tools
    assert 'class="go-9"' in tools
    first = view.conversation([TALK[0], replace(reply, versions=(2, 9))], "en")
    assert "<button disabled" in first[1]["content"][-1]["text"]
    assert "versions" not in str(view.conversation(TALK, "en"))


@pytest.mark.parametrize("text", ["u", " <b>\n\nu "])
def test_arrows_of_an_edited_message_stand_at_it_and_are_no_part_of_it(text: str) -> None:
    question = replace(TALK[0], node=replace(TALK[0].node, content=text), versions=(1, 9))
    shown = view.conversation([question, TALK[1]], "en")
    assert [m["role"] for m in shown] == ["user", "assistant"]
    (part,) = shown[0]["content"]
    assert 'class="go-9"' in part["text"]
    assert read_page(part["text"]).message == text
    assert user_texts(shown) == [text]
    assert "go-9" not in str(shown[1])


def test_an_answer_can_be_made_again_only_where_nothing_was_said_behind_it() -> None:
    talk = [*said(STOP), Entry(Node(3, 2, "user", "u"), (3,)), *said(STOP)[1:]]
    shown = view.conversation(talk, "en")
    assert ["icon copy" in str(message) for message in shown] == [False, True, False, True]
    assert ["icon retry" in str(message) for message in shown] == [False, False, False, True]


def test_where_there_is_no_reply_it_can_be_asked_again(startup: Startup) -> None:
    stopped = events.Finished(CANCELLED, figures())
    for frame in (Frame((), "u", refused="Too long."), Frame((), "u", finished=stopped)):
        last = str(view.turn(frame, startup, "en", key="k")[-1])
        assert "icon retry" in last
        assert "icon undo" in last
        assert "key-k" in last


def test_an_edited_answer_says_so_and_claims_no_figures() -> None:
    edited = replace(TALK[1], node=replace(TALK[1].node, is_edited=True))
    line = str(view.conversation([TALK[0], edited], "en")[1])
    assert '<span class="edited">edited</span></span>' in line
    assert "go-on" in line, "the model has not said that it ends there"
    node = replace(said(STOP)[1].node, is_edited=True)  # the model went on from there
    line = str(view.conversation([TALK[0], replace(edited, node=node)], "en")[1])
    assert '<span class="edited">edited</span><span class="first"> · first token' in line
    assert "go-on" not in line


def test_what_the_model_no_longer_sees_is_still_said_above_an_edited_answer() -> None:
    talk = [*said(STOP), *said(STOP, first_visible=2)]
    edited = replace(TALK[1], node=replace(TALK[1].node, is_edited=True))
    shown = [str(m) for m in view.conversation([*talk, TALK[0], edited], "en")]
    assert ["hidden-line" in message for message in shown] == [False, True, *[False] * 4]


@pytest.mark.parametrize(
    ("content", "status", "is_offered"),
    [
        ("a", "complete", True), ("a", "interrupted", True), ("a", "streaming", False),
        ("", "complete", False), ("<think>\nhm\n</think>\n\n", "complete", False),
        ("<think>\nhm", "interrupted", False), ("<think>hm</think>a", "complete", True),
    ],
)  # fmt: skip
def test_an_answer_that_is_there_can_be_edited(
    content: str, status: str, *, is_offered: bool
) -> None:
    node = replace(TALK[1].node, content=content, status=status)
    shown = view.conversation([TALK[0], replace(TALK[1], node=node)], "en")
    assert ("icon edit edit-2" in str(shown)) is is_offered
    assert "icon edit" not in str(shown[0])


def test_only_the_last_answer_and_only_an_unfinished_one_offers_to_continue() -> None:
    def offers(reason: events.FinishReason, *, is_over: bool = True) -> list[bool]:
        talk = [*said(reason), Entry(Node(3, 2, "user", "u"), (3,)), *said(reason)[1:]]
        shown = view.conversation(talk, "en", is_over=is_over)
        return ["go-on" in str(message) for message in shown]

    assert offers(LENGTH) == offers(CANCELLED) == [False, False, False, True]
    assert not any(offers(STOP))
    assert not any(offers(CANCELLED, is_over=False)), "a turn is under way"
    answered = [*said(LENGTH), Entry(Node(3, 2, "user", "u"), (3,))]
    assert "go-on" not in str(view.conversation(answered, "en"))


def test_what_was_liked_is_marked() -> None:
    def buttons(feedback: Feedback | None) -> list[Any]:
        node = replace(TALK[1].node, feedback=feedback)
        tools = view.conversation([Entry(node, (2,))], "zh-CN")[0]["content"][-1]["text"]
        return re.findall(r'class="icon rate ([^"]*)" title="([^"]*)"', tools)

    assert buttons(None) == [("like-2", "赞"), ("dislike-2", "踩")]
    assert buttons("like") == [("unlike-2 chosen", "已赞，点击取消"), ("dislike-2", "踩")]
    assert buttons("dislike")[1] == ("undislike-2 chosen", "已踩，点击取消")


def test_a_line_shows_from_where_on_the_model_sees() -> None:
    talk = [
        Entry(replace(entry.node, id=entry.node.id + 2 * turn), (entry.node.id + 2 * turn,))
        for turn in range(3)
        for entry in TALK
    ]
    ending = events.Finished(STOP, figures(first_visible=2))
    talk[-1] = Entry(replace(talk[-1].node, ending=ending), (6,))
    shown = view.conversation(talk, "en")
    assert ["no longer sees" in str(m) for m in shown] == [False, True, False, False, False, False]


def test_a_reply_that_an_end_of_the_program_cut_off_says_so() -> None:
    cut = Entry(replace(TALK[1].node, status="interrupted"), (2,))
    assert "interrupted" in view.conversation([cut], "en")[0]["content"][1]["text"]
    assert "go-on" in str(view.conversation([cut], "en"))
    ending = events.Finished(CANCELLED, figures())
    stopped = Entry(replace(cut.node, ending=ending), (2,))
    assert "interrupted" not in str(view.conversation([stopped], "en"))


def test_the_line_says_why_the_reply_ended_early() -> None:
    assert view.ending_line(events.Finished(CANCELLED, figures()), "zh-CN").endswith("已停止")
    assert view.ending_line(events.Finished(LENGTH, figures()), "en").endswith("cut at max tokens")


def test_notes_and_errors_are_shown_as_plain_sentences(startup: Startup) -> None:
    ending = events.Finished(LENGTH, figures(note="The context is <full>."), error="It failed.")
    parts = view.turn(Frame((), "u", "a", finished=ending), startup, "en")[-1]["content"]
    text = "".join(part["text"] for part in parts)
    assert "The context is &lt;full&gt;." in text
    assert "It failed." in text


def test_progress_is_told_until_text_comes(startup: Startup) -> None:
    def title(event: events.Event) -> str:
        last = view.turn(Frame((), "u").after(event), startup, "en")[-1]
        return re.sub("<[^>]*>", "", last["content"][0]["text"])

    assert title(events.Queued(0)) == "Waiting; your turn is next"
    assert title(events.Queued(3)) == "Waiting; 3 ahead of you"
    assert title(events.Prefilling(700, 1000)) == "Reading … 70 %"
    shown = view.turn(Frame((), "u").after(events.Text("a")), startup, "en")
    assert "dots" not in str(shown[-1])


@pytest.mark.parametrize("text", ["", "Once upon"])
def test_what_was_stopped_in_a_long_step_waits_no_more(startup: Startup, text: str) -> None:
    shown = view.turn(Frame((), "u", text, is_abandoned=True), startup, "en")[-1]
    assert "metadata" not in shown
    assert [part["text"] for part in shown["content"]] == [
        *([text] if text else []), '<span class="notice">stopped</span>',
    ]  # fmt: skip


def test_a_refusal_is_shown_under_the_message_it_refuses(startup: Startup) -> None:
    shown = view.turn(Frame((), "u", refused="Too long."), startup, "en")
    assert [m["role"] for m in shown] == ["user", "assistant"]
    assert "Too long." in shown[1]["content"][0]["text"]
    empty = view.turn(Frame((), " ", refused="Empty."), startup, "en")
    assert [m["role"] for m in empty] == ["assistant"]


def test_the_status_tells_exporting_from_ready_and_failed(
    engines: Engines, options: Options
) -> None:
    startup = Startup(options, lambda _options, _progress: engines())
    startup.step = Step("Converting weights", 42)
    assert "42 %" in view.status(startup, "en")
    startup.start()._thread.join()
    assert "scripted-model" in view.status(startup, "en")
    startup._failure = "<b>damaged</b>"
    assert "&lt;b&gt;damaged" in view.status(startup, "en")


@pytest.mark.parametrize(
    ("language", "word"), [("en", "busy"), ("zh-CN", "服务器正忙"), ("zh-TW", "忙碌")]
)
def test_a_full_queue_is_told_in_the_language_of_the_page(
    startup: Startup, language: str, word: str
) -> None:
    frame = Frame((), "Hi", refused="Too many others are waiting.", is_busy=True)
    shown = view.turn(frame, startup, language)
    assert word in shown[1]["content"][0]["text"]


def test_a_model_without_a_chat_template_leads_to_the_page_that_completes(
    engines: Engines, started: Callable[[ScriptedEngine], Startup], startup: Startup
) -> None:
    assert "completion" not in view.status(startup, "en")
    without = started(engines(has_chat_template=False))
    assert "no chat template" in view.status(without, "en")
    assert '<a href="completion">文本续写</a>' in view.status(without, "zh-CN")


def test_the_steps_of_the_export_are_told_in_the_language_of_the_page(options: Options) -> None:
    startup = Startup(options)
    for what, said in (
        ("Converting weights", "转换权重 40 %"),
        ("Downloading a/b", "下载 a/b 40 %"),
    ):
        startup.step = Step(what, 40)
        assert said in view.first_start(startup, "zh-CN")
        assert what in view.first_start(startup, "en")


def test_who_is_signed_in_is_named_and_can_sign_out() -> None:
    assert view.account(None, "en") == ""
    assert view.account("<anna>", "zh-CN").startswith("已登录：&lt;anna&gt;")
    assert 'href="logout"' in view.account("anna", "en")


def test_the_first_start_is_told_from_its_begin_until_the_model_is_there(
    options: Options, startup: Startup
) -> None:
    waiting = view.first_start(Startup(options), "en")
    assert 'value="0"' in waiting
    assert "needed" in waiting
    assert view.first_start(startup, "en") == ""


@pytest.mark.parametrize(
    ("hour", "greeting"), [(4, "evening"), (5, "morning"), (12, "afternoon"), (18, "evening")]
)
def test_the_greeting_is_that_of_the_readers_hour(hour: int, greeting: str) -> None:
    assert f"Good {greeting}." in view.welcome("en", hour)
