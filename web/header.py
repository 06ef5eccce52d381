"""What stands at the top of every page: the brand, the model's status, the choice of language."""

from pathlib import Path
from typing import Any

import gradio as gr

from web import view
from web.languages import SCRIPT, spoken
from web.startup import Startup

LOGO = Path(__file__).with_name("logo.svg")
SETTLING_S, _SETTLED_S = 1.0, 5.0  # how often a page asks for the status
BRAND = f"<h1>{LOGO.read_text('utf-8')}WarmChat</h1>"


def build() -> tuple[gr.HTML, gr.HTML]:
    """Inside a row: the status, empty until it is asked for, and the select of languages."""
    gr.HTML(BRAND, elem_id="brand", padding=False)
    status = gr.HTML(elem_id="status", padding=False)
    language = gr.HTML(
        js_on_load=SCRIPT.read_text("utf-8"),
        apply_default_css=False,
        padding=False,
        elem_id="language",
    )
    return status, language


def status(startup: Startup, request: gr.Request) -> tuple[str, Any]:
    """The status, and how soon to ask again."""
    pace = _SETTLED_S if startup.is_settled else SETTLING_S
    return view.status(startup, spoken(request.headers)), gr.Timer(pace)
