"""The page's layout: Gradio components, and which function of web.page each event calls.

Owns: layout, controls and events. Does not know what the functions do.
"""

from pathlib import Path

import gradio as gr

from web import identity, settings
from web.kept_chat import QUIET, KeptChat
from web.page import PANEL_S, SETTLING_S, Page, welcome
from web.startup import Startup
from web.texts import EXAMPLES, say
from web.turns import Turns
from web.words import words

LOOK = [Path(__file__).with_name(name) for name in ("look.css", "sidebars.css")]
SIDEBARS = Path(__file__).with_name("sidebars.js")
LOGO = Path(__file__).with_name("logo.svg")


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
        with gr.Sidebar(position="right", open=False, width=320, elem_id="live") as live:
            live_panel = gr.HTML(padding=False, apply_default_css=False)
            panel_timer = gr.Timer(PANEL_S, active=False)
        with gr.Row(elem_id="header"):
            gr.HTML(f"<h1>{LOGO.read_text('utf-8')}WarmChat</h1>", elem_id="brand", padding=False)
            status = gr.HTML(elem_id="status", padding=False)
            anew = gr.Button(words("new_chat"), size="sm", elem_id="new-chat", scale=0)
        controls = settings.controls(startup.options.sampling)
        chat = KeptChat(
            page.chat,
            page.stop,
            (page.turn_over, [ids, search], [is_known, conversations]),
            chatbot=_chatbot(),
            textbox=_textbox(),
            additional_inputs=[ids, is_known, *controls],
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
        sign = gr.HTML(elem_id="draft", padding=False)
        chat.textbox.change(
            page.draft,
            [chat.textbox, ids, controls[-1], controls[0]],
            sign,
            trigger_mode="always_last",
            **QUIET,
        )
        for trigger in (live.expand, panel_timer.tick):
            trigger(page.panel, ids, live_panel, **QUIET)
        live.expand(lambda: gr.Timer(active=True), None, panel_timer, **QUIET)
        live.collapse(lambda: gr.Timer(active=False), None, panel_timer, **QUIET)
        timer = gr.Timer(SETTLING_S)
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
        placeholder=welcome("en"),
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
