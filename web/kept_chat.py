"""gr.ChatInterface, with the parts replaced that lose something.

The streamed history (the function yields the whole conversation, so that a page whose state the
server has lost is made whole again), Stop (it ends the turn instead of cutting the stream, so that
the last words and the figures are shown), Edit (which has no Stop otherwise), the box (it stays open
while an answer comes, and keeps what is written meanwhile), and what a person says:
words with the texts of files, a `Said`, from the box to the function, and out of the page's history
again for Retry, Undo and Edit. These are methods of Gradio 6.31.0 without a promise, so the version
is pinned and the browser tests cover each.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from inspect import iscoroutinefunction
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.context import get_blocks_context

from web import view
from web.attachments import Said, read_page
from web.history import PageMessage, text_of
from web.turns import Continuation

Event = tuple[Callable[..., Any], list[Any], list[Any]]
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class KeptChat(gr.ChatInterface):
    """A ChatInterface whose conversation is the engine's.

    fn is an async generator of (reply, conversation); stop is called when Stop is pressed; sent makes
    of what was typed what is said; is_sent and after, functions with their inputs and outputs, are
    called once that is done, and when a turn is over. below: what stands below the box.
    footer: renders what comes under that, the controls of additional inputs.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        stop: Callable[..., None],
        sent: Callable[[str, gr.Request], Said],
        is_sent: Event,
        after: Event,
        below: list[Component],
        footer: Callable[[], None],
        **options: Any,
    ) -> None:
        self._stop, self._sent, self._is_sent, self._after = stop, sent, is_sent, after
        self._below, self._footer = below, footer
        super().__init__(fn, api_name="page", **options)  # "chat" is the name of web.client's

    async def _stream_fn(
        self, message: Any, history: Any, *inputs: Any
    ) -> AsyncGenerator[tuple[str, list[PageMessage]], None]:
        async with aclosing(self.fn(message, history, *inputs)) as moments:
            async for reply, conversation in moments:
                yield reply, conversation

    def _setup_stop_events(
        self, event_triggers: list[Any], events_to_cancel: list[Any], after_success: Any
    ) -> None:
        for trigger in (*event_triggers, after_success.success):
            trigger(self._stop_shown, None, self.textbox, **QUIET)
        after_success.success(*self._is_sent, **QUIET)
        for event in events_to_cancel:
            event.then(self._stop_hidden, None, self.textbox, **QUIET).then(*self._after, **QUIET)
        self.textbox.stop(self._stop, None, None, **QUIET)

    def _setup_events(self) -> None:
        super()._setup_events()
        shortened = [self.chatbot, self.chatbot_state, self.saved_input]
        both, synchronized = [self.chatbot_state, self.chatbot_value], lambda shown: (shown, shown)
        inputs = [self.saved_input, self.chatbot_state, *self.additional_inputs]
        answer = self._api_wrapper(self.fn, self._stream_fn)  # type: ignore[no-untyped-call]
        answer.__name__ = "answer"
        (
            self.chatbot.edit(self._edit_message, self.chatbot, shortened, **QUIET)
            .then(self._append_message_to_history, [self.saved_input, self.chatbot_state],
                  self.chatbot, **QUIET)
            .then(self._locked, None, self.textbox, **QUIET)
            .then(answer, inputs, [self.null_component, self.chatbot],
                  show_progress="hidden", api_visibility="private", concurrency_limit=None)
            .then(synchronized, self.chatbot, both, **QUIET)
            .then(self._unlocked, None, self.textbox, **QUIET)
            .then(*self._after, **QUIET)
        )  # fmt: skip
        self._setup_continue(answer, (synchronized, self.chatbot, both))
        self._keep_words()

    def _keep_words(self) -> None:
        """ChatInterface empties the box after an answer; by then the next message is in it."""
        emptying = [
            event
            for event in get_blocks_context().fns.values()  # type: ignore[union-attr]
            if [*event.outputs] == [self.textbox]
            and not event.inputs
            and not iscoroutinefunction(event.fn)
            and getattr(event.fn, "__name__", "") == "<lambda>"
            and "value" in event.fn()  # type: ignore[misc]
        ]
        if len(emptying) != 1:
            raise RuntimeError("Gradio's ChatInterface empties its box in another way now.")
        emptying[0].fn = lambda: gr.Textbox(interactive=True)

    def _setup_continue(self, answer: Any, synchronize: Any) -> None:
        """A button that answers.js presses: the last reply goes on."""
        button, nothing = (
            gr.Button(elem_id="continue", visible="hidden"), gr.State(Continuation()),
        )  # fmt: skip
        (
            button.click(self._locked, None, self.textbox, **QUIET)
            .then(answer, [nothing, self.chatbot_state, *self.additional_inputs],
                  [self.null_component, self.chatbot],
                  show_progress="hidden", api_visibility="private", concurrency_limit=None)
            .then(*synchronize, **QUIET)
            .then(self._unlocked, None, self.textbox, **QUIET)
            .then(*self._after, **QUIET)
        )  # fmt: skip

    def _render_footer(self) -> None:
        with gr.Row(elem_id="below-box"):
            for component in self._below:
                component.render()  # type: ignore[no-untyped-call]
        self._footer()
        super()._render_footer()  # type: ignore[no-untyped-call]

    def _clear_and_save_textbox(self, message: Any, request: gr.Request) -> tuple[Any, Said]:  # type: ignore[override]
        # The box stays open for the next message; keys.js keeps Enter back until this one is answered.
        return gr.Textbox("", submit_btn=False, stop_btn=True), self._sent(message, request)

    def _append_message_to_history(
        self, message: Any, history: Any, role: Any = "user"
    ) -> list[Any]:
        if role != "user" or not isinstance(message, (Said, str)):
            return super()._append_message_to_history(message, history, role)
        text = message.message if isinstance(message, Said) else message
        return [*history, view.user(text)]

    def _pop_last_user_message(self, history: Any) -> tuple[Any, Any]:
        before, text = super()._pop_last_user_message(history)
        return before, read_page(str(text))

    def _edit_message(self, history: Any, edit_data: gr.EditData) -> tuple[Any, Any, Any]:
        """The history before the message, twice, and it with other words; its files stay.

        The page's history holds the new words already.
        """
        index = edit_data.index
        before = history[: index[0] if isinstance(index, (list, tuple)) else index]
        typed = read_page(text_of(edit_data.value)).typed
        attachments = read_page(text_of(edit_data.previous_value)).attachments
        return before, before, Said(typed, attachments)

    def _stop_shown(self) -> Any:
        return gr.Textbox(submit_btn=False, stop_btn=True)

    def _stop_hidden(self) -> Any:
        return gr.Textbox(submit_btn=True, stop_btn=False, placeholder=self.textbox.placeholder)

    def _locked(self) -> Any:
        return gr.Textbox(submit_btn=False, stop_btn=True, interactive=False)

    def _unlocked(self) -> Any:
        return gr.Textbox(submit_btn=True, stop_btn=False, interactive=True)
