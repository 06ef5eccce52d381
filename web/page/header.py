"""What stands at the top of every page, the model's status; and the brand and the choice of language."""

import gradio as gr

from web.page import assets

LOGO = assets.path("logo.svg")
BRAND = f"<h1>{assets.text('logo.svg')}WarmChat</h1>"


def brand() -> None:
    """The sign and the name."""
    gr.HTML(BRAND, elem_id="brand", padding=False)


def build() -> gr.HTML:
    """Inside a row: the status, empty until it is asked for."""
    return gr.HTML(elem_id="status", padding=False)


def language() -> gr.HTML:
    """The select of languages, empty until it is asked for."""
    return gr.HTML(
        js_on_load=assets.text("language.js"),
        apply_default_css=False,
        padding=False,
        elem_id="language",
    )
