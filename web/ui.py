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
from web import identity, shelf, view
from web.frames import Frame
from web.history import PageMessage
from web.kept_chat import QUIET, KeptChat
from web.startup import Startup
from web.texts import EXAMPLES, for_browser, language_of, say
from web.turns import Request, Turns

LOOK = [Path(__file__).with_name(name) for name in ("look.css", "sidebars.css")]
SIDEBARS = Path(__file__).with_name("sidebars.js")
LOGO = Path(__file__).with_name("logo.svg")

_SETTLING_S, _SETTLED_S = 1.0, 5.0  # how often the page asks for the status

_UNCHANGED: tuple[Any, ...] = (gr.skip(),) * 5

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

    async def click(
        self, ids: Any, search: str, request: gr.Request, event: gr.EventData
    ) -> tuple[Any, ...]:
        """A button of the list of conversations; returns ids, the chat (three times), the list."""
        session_id, engine = identity.session_id(ids), self._startup.engine
        data = event._data if isinstance(event._data, dict) else {}
        if session_id is None or engine is None:
            return _UNCHANGED
        click = shelf.read_click(
            session_id.owner, data.get("act"), data.get("id"), data.get("text")
        )
        if click is None:
            return _UNCHANGED
        is_current = click.session_id == session_id
        try:
            if is_current and click.act == "delete":
                await self._turns.end(str(request.session_hash), silently=True)
            shelf.apply(engine, click)
        except EngineError as error:
            gr.Warning(str(error))
            return _UNCHANGED
        chat: tuple[Any, ...] = _UNCHANGED[:4]
        if click.act in ("open", "undelete") and not is_current:
            ids, chat = await self._opened(click.session_id, request)
        elif click.act == "delete" and is_current:
            ids = identity.mint(session_id.owner)
            chat = (ids, [], [], [])
        deleted = click.session_id.conversation if click.act == "delete" else None
        return (*chat, self.shelf(ids, search, request, deleted))

    async def _opened(
        self, session_id: SessionId, request: gr.Request
    ) -> tuple[dict[str, str], tuple[Any, ...]]:
        await self._turns.end(str(request.session_hash), silently=True)
        messages = await self._restored(session_id, _language(request))
        ids = session_id._asdict()
        return ids, (ids, messages, messages, messages)

    def turn_over(self, ids: Any, search: str, request: gr.Request) -> tuple[bool, str]:
        """The page's history is known again, and the list of conversations has changed."""
        return True, self.shelf(ids, search, request)

    def shelf(self, ids: Any, search: str, request: gr.Request, deleted: str | None = None) -> str:
        """The list of conversations, those that hold `search`."""
        session_id, engine = identity.session_id(ids), self._startup.engine
        if session_id is None or engine is None:
            return shelf.render([], "", _language(request))
        try:
            rows = engine.library.conversations(session_id.owner, search.strip())
        except EngineError as error:
            gr.Warning(str(error))
            rows = []
        return shelf.render(rows, session_id.conversation, _language(request), deleted)

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
        with gr.Sidebar(elem_id="conversations", width=300):
            search = gr.Textbox(
                label=words("search"),
                show_label=False,
                placeholder=words("search"),
                container=False,
                elem_id="search",
            )
            conversations = gr.HTML(
                js_on_load=SIDEBARS.read_text("utf-8"), apply_default_css=False, elem_id="shelf"
            )
        with gr.Row(elem_id="header"):
            gr.HTML(f"<h1>{LOGO.read_text('utf-8')}WarmChat</h1>", elem_id="brand", padding=False)
            status = gr.HTML(elem_id="status", padding=False)
            anew = gr.Button(words("new_chat"), size="sm", elem_id="new-chat", scale=0)
        chat = KeptChat(
            page.chat,
            page.stop,
            (page.turn_over, [ids, search], [is_known, conversations]),
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
        on_shelf, chat_wholly = [ids, search], [ids, *chat_values, chat.chatbot_value]
        demo.load(page.load, ids, [ids, *chat_values, is_known], **QUIET).then(
            page.shelf, on_shelf, conversations, **QUIET
        )
        conversations.click(page.click, on_shelf, [*chat_wholly, conversations], **QUIET)
        search.change(page.shelf, on_shelf, conversations, trigger_mode="always_last", **QUIET)
        demo.unload(page.stop)
        chat.chatbot.undo(page.undo, [ids, chat.chatbot], None, **QUIET)
        for trigger in (chat.chatbot.clear, anew.click):
            trigger(page.start_anew, ids, chat_wholly, **QUIET).then(
                page.shelf, on_shelf, conversations, **QUIET
            )
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
