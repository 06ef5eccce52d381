"""gr.ChatInterface, with events of its own over its components.

Gradio's lose something. They read a message's history off a copy that the server gets late: after an
answer, when Send is there again; here what the page shows comes with each message. They cut the
stream at Stop; here that ends the turn, so that the last words and the figures are shown. They give
Edit no Stop, and empty the box after an answer; here it stays open meanwhile, and keeps what is
written. The function yields the whole conversation. What a person says, words with the texts of
files, is a `Said` from the box to the function, and out of the page's history again for Retry, Undo
and Edit. The methods of Gradio 6.31.0 that are used here come without a promise, so the version is
pinned and the browser tests cover each.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.components import Component

from web import view
from web.files import Said, read_page
from web.turns import Continuation, PageMessage, text_of, user_texts

Event = tuple[Callable[..., Any], list[Any], list[Any]]
# What is asked: the box, the chat with it, what the page showed before (None: nothing), what is said.
Asked = tuple[Any, list[PageMessage], list[PageMessage] | None, Said]
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# Behind all that was sent to the page before, as what comes of an answer; and it may warn.
QUEUED = QUIET | {"queue": True}


class KeptChat(gr.ChatInterface):
    """A ChatInterface whose conversation is the engine's.

    fn is an async generator of conversations, places what its events share; asked is called before it, stop when Stop is pressed; sent
    makes of what was typed what is said. follow, a generator of them too, with its inputs and what its
    events share, goes on with an answer under way that the page comes upon (`follow_behind`);
    is_answering tells whether the page shows one. undo, moved and after, functions with their inputs and outputs, are called
    to take the last message back, when a message has left the box or comes back, and when a turn is
    over. above: what stands between chat and composer. below: what stands below the box, in one card with it. Additional inputs stand where they were rendered.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        places: dict[str, Any],
        follow: tuple[Callable[..., Any], list[Any], dict[str, Any]],
        is_answering: Callable[[gr.Request], bool],
        asked: Callable[[gr.Request], None],
        stop: Callable[..., None],
        sent: Callable[[str, gr.Request], Said],
        undo: Event,
        moved: Event,
        after: Event,
        above: Component,
        below: list[Component],
        **options: Any,
    ) -> None:
        self._places, self._asked, self._stop, self._sent = places, asked, stop, sent
        self._follow, self._is_answering = follow, is_answering
        self._undo, self._moved, self._after = undo, moved, after
        self._above, self._below = above, below
        super().__init__(fn, **options)

    def _setup_events(self) -> None:
        shown, before, said = self.chatbot, self.chatbot_state, self.saved_input
        asked = [self.textbox, shown, before, said]
        sent = self.textbox.submit(self._send, [self.textbox, shown], asked, **QUIET)
        sent.then(*self._moved, **QUIET)
        chosen = shown.example_select(self._choose, None, asked, **QUIET)
        retried = shown.retry(self._retry, shown, asked, **QUIET)
        edited = shown.edit(self._edit, shown, asked, **QUIET)
        for event in (sent, chosen, retried, edited):
            self._answered(event, said)
        # A button that answers.js presses: the last reply goes on.
        button, nothing = gr.Button(elem_id="continue", visible="hidden"), gr.State(Continuation())
        self._answered(button.click(self._locked, None, self.textbox, **QUIET), nothing)
        self.textbox.stop(self._stop, None, None, **QUIET)
        undone = shown.undo(*self._undo, **QUIET)
        undone.then(*self._moved, **QUIET)
        undone.then(self._pop_last_user_message, shown, [shown, self.textbox], **QUIET)

    def follow_behind(self, event: Any) -> None:
        """Behind an event that shows a conversation: go on with the answer under way, if there is one."""
        _, inputs, places = self._follow
        # Each of them, also while the one before, of another conversation, is about to end.
        event.then(
            self._go_on, inputs, [self.chatbot, self.textbox], show_progress="hidden",
            trigger_mode="multiple", api_visibility="private", **places,
        )  # fmt: skip

    async def _go_on(
        self, inputs: Any, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        """The chat and the box, which is left alone if there is nothing to go on with."""
        goes_on = False
        async with aclosing(self._follow[0](inputs, request)) as conversations:
            async for conversation in conversations:
                yield conversation, gr.skip() if goes_on else self._box(request)
                goes_on = True
        yield gr.skip(), self._box(request) if goes_on else gr.skip()

    def _answered(self, event: Any, message: Component) -> None:
        answer = event.then(
            self.fn, [message, self.chatbot_state, *self.additional_inputs], self.chatbot,
            show_progress="hidden", api_name="answer", api_visibility="private", **self._places,
        )  # fmt: skip
        answer.then(self._box, None, self.textbox, **QUIET).then(*self._after, **QUIET)

    def _render_chatbot_area(self, chatbot: Any, textbox: Any, *_: Any) -> None:
        self.chatbot, self.textbox = chatbot, textbox
        chatbot.render()
        chatbot.examples = self.examples_messages
        chatbot._setup_examples()
        self._above.render()  # type: ignore[no-untyped-call]
        with gr.Column(elem_id="composer"):
            textbox.render()
            with gr.Row(elem_id="below-box"):
                for component in self._below:
                    component.render()  # type: ignore[no-untyped-call]
        textbox.stop_btn = False
        self.chatbot_state = gr.State([])

    def _send(self, typed: str, shown: list[PageMessage], request: gr.Request) -> Asked:
        # The box stays open for the next message; keys.js keeps Enter back until this one is answered.
        self._asked(request)
        box = gr.Textbox("", submit_btn=False, stop_btn=True)
        said = self._sent(typed or "", request)
        # A page that shows nothing said may not have loaded yet: then everything stays.
        before = shown if user_texts(shown) else None
        return box, [*shown, *_unanswered(said)], before, said

    def _choose(self, example: gr.SelectData, request: gr.Request) -> Asked:
        return self._ask(None, Said(example.value["text"]), request)

    def _retry(self, shown: list[PageMessage], request: gr.Request) -> Asked:
        return self._ask(*self._pop_last_user_message(shown), request)

    def _edit(self, shown: list[PageMessage], edited: gr.EditData, request: gr.Request) -> Asked:
        """The files of the message stay; the page shows the new words already."""
        index = edited.index[0] if isinstance(edited.index, (list, tuple)) else edited.index
        typed = read_page(text_of(edited.value)).typed
        attachments = read_page(text_of(edited.previous_value)).attachments
        return self._ask(shown[:index], Said(typed, attachments), request)

    def _ask(self, before: list[PageMessage] | None, said: Said, request: gr.Request) -> Asked:
        return self._locked(request), [*(before or ()), *_unanswered(said)], before, said

    def _pop_last_user_message(self, history: Any) -> tuple[Any, Any]:
        before, text = super()._pop_last_user_message(history)
        return before, read_page(str(text))

    def _locked(self, request: gr.Request) -> Any:
        """Stop is there from now on; that it is pressed is known though the answer has not begun."""
        self._asked(request)
        return gr.Textbox(submit_btn=False, stop_btn=True, interactive=False)

    def _box(self, request: gr.Request) -> Any:
        """With Stop while an answer comes, be it another than the one that has just ended."""
        is_answering = self._is_answering(request)
        return gr.Textbox(submit_btn=not is_answering, stop_btn=is_answering, interactive=True)


def _unanswered(said: Said) -> list[PageMessage]:
    """What stands there until the turn tells of itself."""
    return [view.user(said.message), view.pending()]
