"""gr.ChatInterface, with the three parts replaced that lose something.

The streamed history (the function yields the whole conversation, so that a page whose state the
server has lost is made whole again), Stop (it ends the turn instead of cutting the stream, so that
the last words and the figures are shown), and Edit (which has no Stop otherwise). These are methods
of Gradio 6.31.0 without a promise, so the version is pinned and the browser test covers each.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from web.history import PageMessage

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class KeptChat(gr.ChatInterface):
    """A ChatInterface whose conversation is the engine's.

    fn is an async generator of (reply, conversation); stop is called when Stop is pressed, after
    (with its inputs and outputs) when a turn is over.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        stop: Callable[..., None],
        after: tuple[Callable[..., Any], list[Any], list[Any]],
        **options: Any,
    ) -> None:
        self._stop, self._after = stop, after
        super().__init__(fn, **options)

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
        for event in events_to_cancel:
            event.then(self._stop_hidden, None, self.textbox, **QUIET).then(*self._after, **QUIET)
        self.textbox.stop(self._stop, None, None, **QUIET)

    def _setup_events(self) -> None:
        super()._setup_events()
        shortened = [self.chatbot, self.chatbot_state, self.saved_input]
        both, synchronized = [self.chatbot_state, self.chatbot_value], lambda shown: (shown, shown)
        inputs = [self.saved_input, self.chatbot_state, *self.additional_inputs]
        answer = self._api_wrapper(self.fn, self._stream_fn)  # type: ignore[no-untyped-call]
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

    def _stop_shown(self) -> Any:
        return gr.Textbox(submit_btn=False, stop_btn=True)

    def _stop_hidden(self) -> Any:
        # ChatInterface unlocks the box itself, and empties it then: earlier, it would eat new words.
        return gr.Textbox(submit_btn=True, stop_btn=False, placeholder=self.textbox.placeholder)

    def _locked(self) -> Any:
        return gr.Textbox(submit_btn=False, stop_btn=True, interactive=False)

    def _unlocked(self) -> Any:
        return gr.Textbox(submit_btn=True, stop_btn=False, interactive=True)
