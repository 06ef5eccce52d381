"""What stands at the top of every page: the brand, the model's status, the choice of language."""

from pathlib import Path

import gradio as gr

from web.languages import SCRIPT

LOGO = Path(__file__).with_name("logo.svg")
BRAND = f"<h1>{LOGO.read_text('utf-8')}WarmChat</h1>"


def header() -> tuple[gr.HTML, gr.HTML]:
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
