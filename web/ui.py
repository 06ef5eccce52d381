"""The page: Gradio components and which function each event calls.

Owns: layout, controls and events. Does not know how a turn runs (web.turns) or looks (web.view).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import gradio as gr

from engine import SamplingParams, SessionId
from engine.errors import ConfigError, EngineError
from web import identity, view
from web.frames import Frame
from web.history import PageMessage
from web.kept_chat import QUIET, KeptChat
from web.startup import Startup
from web.texts import EXAMPLES, for_browser, language_of, say
from web.turns import Request, Turns

LOOK = Path(__file__).with_name("look.css")
LOGO = Path(__file__).with_name("logo.svg")

_SETTLING_S, _SETTLED_S = 1.0, 5.0  # how often the page asks for the status

words = gr.I18n(**for_browser())


class Page:
    """The functions behind the page's events. `ids` is what the browser stores."""

    def __init__(self, startup: Startup, turns: Turns) -> None:
        self._startup = startup
        self._turns = turns

    async def chat(  # noqa: PLR0917  (Gradio passes the inputs by position)
        self,
        message: str,
        history: list[PageMessage],
        ids: Any,
        is_known: bool,
        system_prompt: str,
        max_tokens: float,
        temperature: float,
        top_p: float,
        top_k: float,
        seed: float | None,
        request: gr.Request,
    ) -> AsyncGenerator[tuple[str, list[PageMessage]], None]:
        """Answer `message` in the conversation that `ids` names; yields reply and conversation."""
        language, session_id = _language(request), identity.session_id(ids)
        if session_id is None:
            yield self._refusal(message, history, say(language, "no_identity"), language)
            return
        try:
            params = _params(max_tokens, temperature, top_p, top_k, seed)
        except (ConfigError, TypeError, ValueError) as error:
            sentence = say(language, "bad_setting", reason=error)
            yield self._refusal(message, history, sentence, language)
            return
        asked = Request(
            session_id,
            message,
            history if is_known else None,
            system_prompt.strip() or None,
            params,
        )
        async with aclosing(self._turns.run(str(request.session_hash), asked)) as frames:
            async for frame in frames:
                before = view.conversation(frame.kept, self._turns.endings, language)
                yield (
                    frame.text or frame.refused or "",
                    [*before, *view.turn(frame, self._startup, language)],
                )

    async def load(self, ids: Any, request: gr.Request) -> tuple[Any, Any, Any, bool]:
        """What a page shows when it opens: ids, chat, its server-side twin, and that it is known."""
        language, session_id = _language(request), identity.session_id(ids)
        if session_id is None:
            ids, messages = identity.mint(), []
        else:
            messages = await self._restored(session_id, language)
        chatbot = gr.Chatbot(
            value=cast(Any, messages),
            placeholder=_welcome(language),
            examples=[{"text": say(language, key)} for key in EXAMPLES],
        )
        return ids, chatbot, messages, True

    def stop(self, request: gr.Request) -> None:
        """Stop the page's turn; also when the page is closed."""
        self._turns.stop(str(request.session_hash))

    async def undo(
        self, ids: Any, history: list[PageMessage], event: gr.UndoData, request: gr.Request
    ) -> None:
        """Take the last message back, in the engine too."""
        if session_id := identity.session_id(ids):
            index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
            await self._turns.undo(str(request.session_hash), session_id, history[:index])

    async def start_anew(self, ids: Any, request: gr.Request) -> tuple[Any, Any, Any, Any]:
        """Leave this conversation; its successor's ids and an empty chat (three times)."""
        session_id = identity.session_id(ids)
        if session_id is None:
            return identity.mint(), [], [], []
        await self._turns.end(str(request.session_hash), silently=True)
        return identity.mint(session_id.owner), [], [], []

    def status(self, request: gr.Request) -> tuple[str, Any]:
        """The header's status, and how soon to ask again."""
        pace = _SETTLED_S if self._startup.is_settled else _SETTLING_S
        return view.status(self._startup, _language(request)), gr.Timer(pace)

    async def _restored(self, session_id: SessionId, language: str) -> list[PageMessage]:
        try:
            entries = await self._turns.restore(session_id)
        except EngineError as error:
            return [view.notice(str(error))]
        return view.conversation(entries, self._turns.endings, language)

    def _refusal(
        self, message: str, history: list[PageMessage], sentence: str, language: str
    ) -> tuple[str, list[PageMessage]]:
        refused = Frame((), message, refused=sentence)
        return sentence, [*history, *view.turn(refused, self._startup, language)]


def build_page(startup: Startup) -> gr.Blocks:
    """The page over the engine that `startup` brings up."""
    page = Page(startup, Turns(startup))
    demo: gr.Blocks
    with gr.Blocks(title="WarmChat", fill_height=True, analytics_enabled=False) as demo:
        ids = gr.BrowserState(
            None, storage_key=identity.STORAGE_KEY, secret=identity.STORAGE_SECRET
        )
        is_known = gr.State(False)  # lost together with the page's history, and tells so
        with gr.Row(elem_id="header"):
            gr.HTML(f"<h1>{LOGO.read_text('utf-8')}WarmChat</h1>", elem_id="brand", padding=False)
            status = gr.HTML(elem_id="status", padding=False)
            anew = gr.Button(words("new_chat"), size="sm", elem_id="new-chat", scale=0)
        chat = KeptChat(
            page.chat,
            page.stop,
            chatbot=_chatbot(),
            textbox=_textbox(),
            additional_inputs=[ids, is_known, *_settings(startup.options.sampling)],
            additional_inputs_accordion=gr.Accordion(
                words("settings"), open=False, elem_id="settings", render=False
            ),
            examples=[[say("en", key)] for key in EXAMPLES],
            cache_examples=False,
            show_progress="hidden",
            concurrency_limit=None,
            api_name="chat",
        )
        chat_values = [chat.chatbot, chat.chatbot_state]
        demo.load(page.load, ids, [ids, *chat_values, is_known], **QUIET)
        demo.unload(page.stop)
        chat.chatbot.undo(page.undo, [ids, chat.chatbot], None, **QUIET)
        for trigger in (chat.chatbot.clear, anew.click):
            trigger(page.start_anew, ids, [ids, *chat_values, chat.chatbot_value], **QUIET)
        chat.chatbot_value.change(lambda: True, None, is_known, **QUIET)
        timer = gr.Timer(_SETTLING_S)
        for trigger in (demo.load, timer.tick):
            trigger(page.status, None, [status, timer], **QUIET)
    demo.queue(default_concurrency_limit=None)
    return demo


def _chatbot() -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        show_label=False,
        container=False,
        scale=1,
        height=400,
        editable="user",
        buttons=["copy"],
        feedback_options=None,
        placeholder=_welcome("en"),
        layout="bubble",
        allow_tags=False,
        render=False,
    )


def _textbox() -> gr.Textbox:
    return gr.Textbox(
        placeholder=words("message_hint"),
        show_label=False,
        container=False,
        lines=1,
        max_lines=8,
        scale=7,
        autofocus=True,
        submit_btn=True,
        stop_btn=True,
        elem_id="message",
        render=False,
    )


def _settings(params: SamplingParams) -> list[gr.components.Component]:
    """The controls, in the order in which `Page.chat` takes their values."""

    def named(key: str) -> dict[str, Any]:
        return {"label": words(key), "info": words(f"{key}_info"), "render": False}

    longest = max(2048, params.max_tokens)
    return [
        gr.Textbox("", lines=2, max_lines=6, **named("system_prompt")),
        gr.Slider(1, longest, params.max_tokens, step=1, **named("max_tokens")),
        gr.Slider(0, 2, params.temperature, step=0.05, **named("temperature")),
        gr.Slider(0.05, 1, params.top_p, step=0.01, **named("top_p")),
        gr.Slider(0, 200, params.top_k, step=1, **named("top_k")),
        gr.Number(None, precision=0, minimum=0, **named("seed")),
    ]


def _params(
    max_tokens: float, temperature: float, top_p: float, top_k: float, seed: float | None
) -> SamplingParams:
    return SamplingParams(
        max_tokens=int(max_tokens),
        temperature=float(temperature),
        top_p=float(top_p),
        top_k=int(top_k),
        seed=None if seed is None else int(seed),
    )


def _welcome(language: str) -> str:
    return (
        f'<div class="welcome"><h2>{say(language, "welcome")}</h2>'
        f"<p>{say(language, 'tagline')}</p><p>{say(language, 'welcome_more')}</p></div>"
    )


def _language(request: gr.Request) -> str:
    return language_of(request.headers.get("accept-language"))
