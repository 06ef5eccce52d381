"""The page's layout: Gradio components, and which function each event calls.

Owns: layout, controls and events. Does not know what the functions do.
"""

from typing import Any

import gradio as gr

from web import crowd, identity
from web.events import (
    DRAFT_S,
    SETTLING_S,
    Chat,
    Client,
    Composing,
    Conversations,
    Edits,
    Exchange,
    Overview,
)
from web.files import Downloads
from web.languages import EXAMPLES, say
from web.page import assets, completion, editor, header
from web.page.drawer import Drawer, buttons
from web.page.kept_chat import QUEUED, QUIET, KeptChat
from web.page.settings import Settings
from web.page.sidebar import Sidebar
from web.page.words import words
from web.startup import Startup
from web.turns import Turns
from web.writing import LATEX_DELIMITERS

UPLOADS_S = (3600, 3600)  # what was uploaded and never read is looked for, and kept, so long


def build_page(startup: Startup, downloads: Downloads) -> gr.Blocks:
    """The pages and the endpoints over the engine that `startup` brings up.

    downloads: where files that people save wait to be fetched.
    """
    turns = Turns(startup)
    composing = Composing(startup, turns)
    demo = _build_chat(startup, turns, composing, downloads)
    with demo:
        Client(startup, turns, composing.read).connect(crowd.for_turns(startup.options))
    completion.build_completion(demo, startup)
    demo.queue(default_concurrency_limit=None)
    crowd.make_room(demo, startup.options)
    return demo


def _build_chat(
    startup: Startup, turns: Turns, composing: Composing, downloads: Downloads
) -> gr.Blocks:
    chat = Chat(startup, turns, composing)
    conversations, overview = Conversations(startup, turns), Overview(startup, turns)
    demo: gr.Blocks
    with gr.Blocks(
        title="WarmChat", fill_height=True, analytics_enabled=False, delete_cache=UPLOADS_S
    ) as demo:
        ids = gr.BrowserState(
            None, storage_key=identity.STORAGE_KEY, secret=identity.STORAGE_SECRET
        )
        sidebar = Sidebar(Exchange(startup, conversations, downloads))
        search, shelf = sidebar.search, sidebar.shelf
        settings = Settings(startup.options.sampling)
        drawer = Drawer(settings)
        with gr.Row(elem_id="header"):
            status = header.build()
            drawer_buttons = buttons()
            anew_on_phone = gr.Button(words("new_chat"), elem_id="new-chat-phone", scale=0)
        attach, sign = _attach(), gr.HTML(elem_id="draft", render=False)
        first_start = gr.HTML(elem_id="first-start", apply_default_css=False, render=False)
        gauge = gr.HTML(elem_id="gauge", padding=False, apply_default_css=False, render=False)
        chatbot = _chatbot()
        interface = KeptChat(
            chat.answer,
            places=crowd.for_turns(startup.options),
            follow=(chat.follow, [ids], crowd.for_followers(startup.options)),
            is_answering=chat.is_answering,
            asked=chat.asked,
            stop=chat.stop,
            sent=composing.sent,
            undo=(chat.undo, [ids, chatbot], []),
            moved=(composing.attached, [], [attach]),
            after=(conversations.tick, [ids, search], [shelf]),
            above=first_start,
            below=[attach, settings.thinking, sign, gauge],
            chatbot=chatbot,
            textbox=_textbox(),
            additional_inputs=[ids, *settings.controls],
            examples=[[say("en", key)] for key in EXAMPLES],
            cache_examples=False,
        )
        on_shelf, all_shown = [ids, search], [ids, chatbot, shelf]
        # The settings first: once the page knows its conversation, a message may be sent with them.
        loaded = settings.connect(demo).then(conversations.load, on_shelf, all_shown, **QUIET)
        imported = sidebar.exchange.connect(on_shelf, all_shown)
        looked = shelf.submit(conversations.follow, [*on_shelf, chatbot], [chatbot, shelf], **QUIET)
        # One after another: clicks.js waits for the answer to one before it tells of the next.
        clicked = shelf.click(
            conversations.click, on_shelf, all_shown, trigger_mode="multiple", **QUEUED
        )
        clicked.then(None, js=assets.tells("warmchat-clicked"), **QUIET)
        for event in (loaded, imported, looked, clicked):
            interface.follow_behind(event)
        shelf.change(overview.gauge, ids, gauge, trigger_mode="always_last", **QUIET)
        search.change(conversations.shelf, on_shelf, shelf, trigger_mode="always_last", **QUIET)
        demo.unload(composing.closed)
        demo.load(composing.attached, None, attach, **QUIET)
        for trigger in (chatbot.clear, sidebar.anew.click, anew_on_phone.click):
            trigger(None, js=assets.tells("warmchat-anew"), **QUIET)
        _connect_drafts(composing, [interface.textbox, ids], settings, attach, sign)
        editor.build(Edits(startup), ids)
        gr.HTML(words("hint"), elem_id="hint", padding=False)
        around = [sidebar.language, drawer_buttons, sidebar.account]
        demo.load(overview.around, None, around, **QUIET)
        drawer.connect(overview.panel, ids)
        dependent = [status, first_start, settings.thinking, settings.max_tokens]
        timer = _status_timer(demo, overview, dependent)
        timer.tick(conversations.tick, on_shelf, shelf, **QUIET)
    return demo


def _connect_drafts(
    composing: Composing, typed: list[Any], settings: Settings, attach: gr.HTML, sign: gr.HTML
) -> None:
    """What is written is read ahead, and the sign says so. typed: the box, and what the browser stores."""
    timer = gr.Timer(DRAFT_S, active=False)
    draft = (composing.draft, [*typed, *settings.draft_inputs], [sign, timer])
    # One event of all: what an older one would say never comes after a newer one.
    written = [*(part.change for part in typed), timer.tick]
    gr.on(written, *draft, trigger_mode="always_last", **QUIET)
    attached = attach.click(composing.attach, None, attach, trigger_mode="multiple", **QUIET)
    attached.then(*draft, **QUIET)


def _status_timer(demo: gr.Blocks, overview: Overview, shown: list[Any]) -> gr.Timer:
    """What asks for the status, from when the page opens on. shown: the status, and what depends on it."""
    timer = gr.Timer(SETTLING_S)
    for trigger in (demo.load, timer.tick):
        trigger(overview.status, None, [shown[0], timer, *shown[1:]], **QUIET)
    return timer


def _attach() -> gr.HTML:
    return gr.HTML(
        js_on_load=assets.text("attachments.js"),
        apply_default_css=False,
        elem_id="attach",
        render=False,
    )


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
        layout="bubble",
        latex_delimiters=LATEX_DELIMITERS,
        allow_tags=True,
        render=False,
    )


def _textbox() -> gr.Textbox:
    return gr.Textbox(
        label=words("message_hint"),
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
