"""Thinking: said to the model or kept from it, and folded on the page."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from engine import SessionId
from engine.conversations import Node
from engine.events import Finished, FinishReason
from engine.text import Setting
from tests.scripted import Engines, Say, ScriptedEngine
from tests.web.figures import figures
from web.languages.texts import say
from web.startup import Startup
from web.turns import drafts
from web.turns.drafts import Drafts
from web.turns.history import kept_messages
from web.turns.live_turn import Request, template_options
from web.turns.turns import Turns
from web.view import conversation, turn
from web.view.thoughts import Thinking, answer_in, reply, split, with_answer

ID = SessionId("owner", "conversation")
THINKING = "<think>\nThey ask for a capital.\n\nIt is Paris.\n</think>\n\nParis."


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (THINKING, ("They ask for a capital.\n\nIt is Paris.", True, "Paris.")),
        ("<think>\nHm, ", ("Hm, ", False, "")),
        ("\n <think>a</think>b", ("a", True, "b")),
        ("<think>\n\n</think>\n\n  Paris.", (None, True, "  Paris.")),
        ("They ask.\n</think>\n\nParis.", ("They ask.", True, "Paris.")),
        ("Paris.", (None, True, "Paris.")),
        ("", (None, True, "")),
        ("Write <think> and </think>.", (None, True, "Write <think> and </think>.")),
        ("```\n<think>\n</think>\n```", (None, True, "```\n<think>\n</think>\n```")),
        ("<thinking>", (None, True, "<thinking>")),
    ],
)
def test_thoughts_are_told_from_the_answer(
    reply: str, expected: tuple[str | None, bool, str]
) -> None:
    assert split(reply) == expected


def test_a_finished_thought_is_a_folded_message_of_its_own() -> None:
    thought, answer = reply(THINKING, ["line"], "en", is_over=True)
    assert thought["metadata"] == {"title": "Thoughts", "status": "done"}
    assert thought["content"][0]["text"] == "They ask for a capital.\n\nIt is Paris."
    assert [part["text"] for part in answer["content"]] == ["Paris.", "line"]
    assert "metadata" not in answer


@pytest.mark.parametrize("end", range(1, len(THINKING)))
def test_no_mark_is_shown_while_a_reply_streams(end: int) -> None:
    shown = reply(THINKING[:end], [], "en", is_over=False)
    texts = "".join(part["text"] for message in shown for part in message["content"])
    assert "think>" not in texts
    assert shown[0].get("metadata", {}).get("title") in ("Thinking …", "Thoughts")


def test_a_thought_that_was_cut_off_is_over_and_keeps_its_line() -> None:
    thought, rest = reply("<think>Hm", ["line"], "zh-CN", is_over=True)
    assert thought["metadata"] == {"title": say("zh-CN", "thoughts"), "status": "done"}
    assert [part["text"] for part in rest["content"]] == ["line"]
    assert len(reply("<think>Hm", [], "en", is_over=True)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They ask.\n</think>\n\nParis.", ("They ask.", True, "Paris.")),
        ("They ask.</think>Paris.", ("They ask.", True, "Paris.")),
        ("They ask", ("They ask", False, "")),
        ("<think>They ask</think>P", ("They ask", True, "P")),
        ("</think>Paris.", (None, True, "Paris.")),
    ],
)
def test_a_reply_whose_prompt_opened_the_thoughts_begins_inside_them(
    text: str, expected: tuple[str | None, bool, str]
) -> None:
    assert split(text, is_opened=True) == expected


@pytest.mark.parametrize("end", range(1, 19))
def test_no_half_of_a_closing_mark_is_shown(end: int) -> None:
    opened = Thinking(is_opened=True)
    shown = reply("They ask.</think>Paris."[:end], [], "en", is_over=False, thinking=opened)
    assert "<" not in str(shown)
    assert shown[0]["metadata"]["title"] in ("Thinking …", "Thoughts")


def test_thoughts_say_how_long_they_took() -> None:
    thought, _ = reply(THINKING, [], "en", is_over=True, thinking=Thinking(seconds=12.3))
    assert thought["metadata"]["title"] == "Thought for 12 s"
    thought, _ = reply(THINKING, [], "zh-CN", is_over=True, thinking=Thinking(seconds=0.2))
    assert thought["metadata"]["title"] == "思考了 1 秒"


def test_what_only_looks_like_a_beginning_is_shown_in_the_end() -> None:
    (shown,) = reply("<", [], "en", is_over=True)
    assert [part["text"] for part in shown["content"]] == ["<"]


def test_thoughts_are_written_as_answers_are() -> None:
    thought, answer = reply("<think>a <b c></think>d <e>", [], "en", is_over=True)
    assert thought["content"][0]["text"] == "a &#x0003c;b c>"
    assert answer["content"][0]["text"] == "d &#x0003c;e>"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_a_folded_conversation_still_matches_the_engines(
    engines: Engines, started: Callable[[ScriptedEngine], Startup]
) -> None:
    engine = engines()
    startup = started(engine)

    async def scenario() -> None:
        turns = Turns(startup)
        shown: list[dict[str, Any]] = []
        for question in ("one", "two", "three"):
            engine.script.write(Say(THINKING))
            async for frame in turns.run("tab", Request(ID, question, shown)):
                last = [*conversation(frame.kept, "en"), *turn(frame, startup, "en")]
            shown = last
        assert [m["role"] for m in shown if not m.get("metadata")] == ["user", "assistant"] * 3
        assert sum(1 for m in shown if m.get("metadata")) == 3
        assert [m.content for m in engine.messages(ID)][1::2] == [THINKING] * 3
        second = [m["role"] for m in shown].index("user", 4) - 3  # the question "two"
        assert kept_messages(shown[:second], engine.messages(ID)) == 2
        assert [request.keep for request in engine.script.requests] == [0, 2, 4]

    run(scenario())


@pytest.mark.parametrize(
    ("can_think", "thinking", "said"),
    [(True, False, {"enable_thinking": False}), (True, True, {"enable_thinking": True}),
     (False, True, {}), (False, False, {})],
)  # fmt: skip
def test_the_model_is_told_whether_to_think_if_it_can(
    engines: Engines,
    started: Callable[[ScriptedEngine], Startup],
    can_think: bool,
    thinking: bool,
    said: dict[str, bool],
) -> None:
    async def scenario() -> None:
        engine = engines(can_think=can_think)
        turns = Turns(started(engine))
        request = Request(ID, "one", [], thinking=thinking)
        assert [frame async for frame in turns.run("tab", request)]
        assert engine.script.options == said
        assert template_options(engine, thinking) == said

    run(scenario())


def test_a_draft_is_prefilled_as_the_turn_will_be(
    engines: Engines,
    started: Callable[[ScriptedEngine], Startup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drafts, "INTERVAL_S", 0.0)

    async def scenario() -> None:
        engine = engines(can_think=True)
        await Drafts(started(engine)).take(ID, "hello", "Be brief.", thinking=False)
        await engine.count_tokens("")  # behind the draft
        assert engine.script.drafts == [("hello", Setting("Be brief.", {"enable_thinking": False}))]

    run(scenario())


@pytest.mark.parametrize("is_told", [False, True])
def test_thoughts_that_the_prompt_has_opened_stay_thoughts_in_an_edited_answer(
    *, is_told: bool
) -> None:
    node = Node(2, 1, "assistant", "2+2 is 4, so 4.</think>\n\n4", "complete", is_edited=True)
    if is_told:  # the model went on, behind a prompt that opened none
        node = replace(node, ending=Finished(FinishReason.STOP, figures()))
    assert answer_in(node) == "4"
    assert with_answer(node, "four") == "2+2 is 4, so 4.</think>\n\nfour"
    plain = replace(node, content="No thoughts.")
    assert answer_in(plain) == "No thoughts."
