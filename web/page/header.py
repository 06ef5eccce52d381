"""What stands at the top of every page: the brand, the model's the choice of language."""

import gradio as gr

from web.page import assets

LOGO = assets.path("logo.svg")
BRAND = f"<h1>{assets.text('logo.svg')}WarmChat</h1>"


def brand() -> None:
    """The sign and the name."""
    gr.HTML(BRAND, elem_id="brand", padding=False)


def build() -> tuple[gr.HTML, gr.HTML]:
    """Inside a row: the status, empty until it is asked for, and the select of languages."""
    status = gr.HTML(elem_id="status", padding=False)
    language = gr.HTML(
        js_on_load=assets.text("language.js"),
        apply_default_css=False,
        padding=False,
        elem_id="language",
    )
    return status, language
