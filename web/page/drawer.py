"""The drawer on the right: the settings, and the panel of the engine.

Owns: how it is laid out and opened, and that the panel asks for figures only while the drawer is open. Does not
know what the panel shows.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from web.page import assets
from web.page.kept_chat import QUIET
from web.page.settings import Settings
from web.page.words import words

PANEL_S = 2.0


class Drawer:
    """Laid out where it is made; its buttons stand where `buttons` is called."""

    def __init__(self, settings: Settings) -> None:
        with (
            gr.Sidebar(position="right", open=False, width=360, elem_id="live") as sidebar,
            gr.Tabs(),
        ):
            with gr.Tab(words("settings")):
                settings.render()
            with gr.Tab(words("engine")):
                self._panel = gr.HTML(padding=False, apply_default_css=False)
                self._timer = gr.Timer(PANEL_S, active=False)
        self._sidebar = sidebar

    def connect(self, panel: Callable[..., Any], ids: gr.BrowserState) -> None:
        """panel: gives the HTML of the panel for the browser's `ids`."""
        for trigger in (self._sidebar.expand, self._timer.tick):
            trigger(panel, ids, self._panel, **QUIET)
        self._sidebar.expand(lambda: gr.Timer(active=True), None, self._timer, **QUIET)
        self._sidebar.collapse(lambda: gr.Timer(active=False), None, self._timer, **QUIET)


def buttons() -> gr.HTML:
    """What opens the drawer at either tab; empty until its words are asked for."""
    return gr.HTML(
        js_on_load=assets.text("drawer.js"),
        apply_default_css=False,
        padding=False,
        elem_id="drawer-buttons",
    )
