"""What Gradio does without need, and that it does it less often."""

import os
import sys
from collections.abc import Sequence

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from web import lean


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib")


def test_no_statistics_are_made_of_events() -> None:
    lean.before_import()
    with gr.Blocks() as demo:
        demo.queue()
    queue = demo._queue
    queue.events_recorded = 1000
    before = queue.cached_event_analytics_summary
    record = {"function": "chat", "status": "success", "process_time": 1.0}
    assert queue.compute_analytics_summary([record]) is before
    assert queue.ANALYTICS_MAX_EVENTS == 100


def test_the_queue_looks_around_less_often() -> None:
    with gr.Blocks() as demo:
        demo.queue()
    queue = demo._queue
    before = queue.sleep_when_free, queue.progress_update_sleep_when_free
    lean.calm(demo)
    assert queue.sleep_when_free > before[0]
    assert queue.progress_update_sleep_when_free > before[1]


def test_a_page_that_opens_does_not_describe_every_component_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with gr.Blocks() as demo:
        box = gr.Textbox("Hello")
    described: list[gr.Textbox] = []

    def describe(box: gr.Textbox) -> dict[str, str]:
        described.append(box)
        return {}

    monkeypatch.setattr(gr.Textbox, "get_config", describe)
    lean.calm(demo)
    session = SessionState(demo)
    session[box._id] = changed = gr.Textbox("Bye", render=False)
    session._update_config(box._id)
    session._update_value_in_config(box._id, "Bye")
    assert (session[box._id], [*session.components], described) == (changed, [], [])
    assert SessionState(demo)[box._id] is box
    # Whoever opens the page gets a description all the same.
    demo.get_config_file()
    assert described == [box]


def test_matplotlib_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        looked_for: list[str] = []  # noqa: RUF012

        def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
            self.looked_for.append(name)

    lean.before_import()
    monkeypatch.setattr(sys, "meta_path", [Finder()])
    with pytest.raises(ImportError):
        import matplotlib  # noqa: F401
    assert not Finder.looked_for
