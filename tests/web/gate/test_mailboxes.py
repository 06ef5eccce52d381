"""What is kept of Gradio's messages, on a real queue of Gradio's that serves nobody."""

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from web.gate import keep_mail


@pytest.fixture
def queue() -> Any:
    """Keeps the messages of three pages."""
    with gr.Blocks() as demo:
        pass
    keep_mail(demo, most=3)
    return demo._queue


def join(queue: Any, page: str, event: str) -> None:
    """As Gradio does when an event is asked for."""
    queue.pending_messages_per_session[page] = SimpleNamespace(put_nowait=lambda _: None)
    queue.pending_event_ids_session.setdefault(page, set()).add(event)
    queue.event_ids_to_events[event] = SimpleNamespace(session_hash=page)


def read(queue: Any, page: str, event: str) -> None:
    """The event has ended, and its page has heard of it."""
    del queue.event_ids_to_events[event]
    queue.pending_event_ids_session[page].remove(event)


def pages(queue: Any) -> list[str]:
    return list(queue.pending_messages_per_session)


def test_a_page_that_has_read_everything_is_forgotten_first(queue: Any) -> None:
    for page in "abc":
        join(queue, page, f"event of {page}")
    read(queue, "b", "event of b")
    join(queue, "d", "event of d")
    assert pages(queue) == ["a", "c", "d"]
    assert "b" not in queue.pending_event_ids_session


def test_then_one_that_has_not_read_what_has_ended(queue: Any) -> None:
    for page in "abc":
        join(queue, page, f"event of {page}")
    del queue.event_ids_to_events["event of c"]
    join(queue, "d", "event of d")
    assert pages(queue) == ["a", "b", "d"]


def test_for_whom_something_runs_is_not_forgotten(queue: Any) -> None:
    for page in "abcd":
        join(queue, page, f"event of {page}")
    assert pages(queue) == ["a", "b", "c", "d"]


def test_what_is_told_to_a_page_that_has_gone_is_told_to_nobody(queue: Any) -> None:
    event: Any = SimpleNamespace(alive=True, _id="e", session_hash="gone")
    queue.send_message(event, SimpleNamespace(event_id=None))
    del queue.pending_messages_per_session["gone"]
    assert pages(queue) == []
    assert len(queue.pending_event_ids_session["gone"]) == 0
