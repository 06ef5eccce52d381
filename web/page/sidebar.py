"""The sidebar: a new chat, the search, the list of conversations, and at its foot what is wanted rarely.

Owns: its components and the scripts that run beside the list. Does not know what the list shows.
"""

import gradio as gr

from web.events import Exchange
from web.page import assets, column, completion, header
from web.page.exchange_row import ExchangeRow
from web.page.kept_chat import QUIET
from web.page.words import words

SCRIPTS = (
    "stage.js", "clicks.js", "sidebars.js", "menu.js", "keys.js", "shortcuts.js", "drafts.js",
)  # fmt: skip


class Sidebar:
    """Laid out where it is made. What the visitor is told in words of the request stays empty until then."""

    def __init__(self, exchange: Exchange) -> None:
        with gr.Sidebar(elem_id="conversations", width=272):
            header.brand()
            self.anew = gr.Button(words("new_chat"), elem_id="new-chat")
            self.search = gr.Textbox(
                label=words("search"),
                show_label=False,
                placeholder=words("search"),
                container=False,
                elem_id="search",
            )
            self.shelf = gr.HTML(
                js_on_load=column.scripts() + assets.text(*SCRIPTS),
                apply_default_css=False,
                elem_id="shelf",
            )
            with gr.Row(elem_id="foot"):
                self.language = header.language()
                self.exchange = ExchangeRow(exchange)
                completion.link()
                _shortcuts()
                self.account = gr.HTML(elem_id="account", padding=False, apply_default_css=False)


def _shortcuts() -> None:
    """What opens the dialog with the keys."""
    button = gr.Button(words("shortcuts"), size="sm", elem_id="shortcuts")
    button.click(None, js=assets.tells("warmchat-shortcuts"), **QUIET)
