"""What a message follows, as the page shows it."""

from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from web import view
from web.files.attachments import Said
from web.page.kept_chat import KeptChat
from web.turns.history import PageMessage

REQUEST = cast(gr.Request, SimpleNamespace(session_hash="tab"))
SHOWN: list[PageMessage] = [
    {"role": "user", "content": [{"type": "text", "text": "one"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "You said: one"}]},
    {"role": "user", "content": [{"type": "text", "text": "two"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "You said: two"}]},
]


async def answer(*_inputs: Any) -> AsyncGenerator[list[PageMessage], None]:
    yield []


ASKED: list[gr.Request] = []


def nothing() -> None:
    """For the events that these tests do not cause."""


@pytest.fixture(scope="module")
def chat() -> Iterator[KeptChat]:
    with gr.Blocks(analytics_enabled=False):
        yield KeptChat(
            answer,
            places={"concurrency_limit": None},
            follow=(answer, [], {}),
            is_answering=lambda _request: False,
            asked=ASKED.append,
            stop=nothing,
            sent=lambda typed, _request: Said(typed),
            undo=(nothing, [], []),
            moved=(nothing, [], []),
            after=(nothing, [], []),
            above=gr.HTML(render=False),
            below=[],
            chatbot=gr.Chatbot(render=False),
            textbox=gr.Textbox(render=False, submit_btn=True, stop_btn=True),
            analytics_enabled=False,
        )


def test_a_message_follows_all_that_the_page_shows(chat: KeptChat) -> None:
    _, shown, before, said = chat._send("three", SHOWN, REQUEST)
    assert before == SHOWN
    assert shown == [*SHOWN, view.user("three"), view.pending()]
    assert said == Said("three")


@pytest.mark.parametrize("shown", [[], [view.notice("This conversation cannot be read.")]])
def test_a_page_that_shows_nothing_said_does_not_know_what_precedes(
    chat: KeptChat, shown: list[PageMessage]
) -> None:
    """It may have been opened while the model was loading."""
    assert chat._send("three", shown, REQUEST)[2] is None


def test_an_edited_and_a_retried_message_follow_what_was_before_them(chat: KeptChat) -> None:
    edited = cast(gr.EditData, SimpleNamespace(index=0, value="1", previous_value="one"))
    assert chat._edit(SHOWN, edited, REQUEST)[1:] == (
        [view.user("1"), view.pending()],
        [],
        Said("1"),
    )
    retried = chat._retry(SHOWN, REQUEST)[1:]
    assert retried == ([*SHOWN[:2], view.user("two"), view.pending()], SHOWN[:2], Said("two"))


def test_every_way_of_asking_is_told_before_the_answer_begins(chat: KeptChat) -> None:
    """So that a Stop that comes first is not lost."""
    edited = cast(gr.EditData, SimpleNamespace(index=0, value="1", previous_value="one"))
    example = cast(gr.SelectData, SimpleNamespace(value={"text": "one"}))
    ASKED.clear()
    chat._send("three", SHOWN, REQUEST)
    chat._edit(SHOWN, edited, REQUEST)
    chat._retry(SHOWN, REQUEST)
    chat._choose(example, REQUEST)
    chat._locked(REQUEST)
    assert ASKED == [REQUEST] * 5
