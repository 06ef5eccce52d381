"""The page's look, as far as Gradio's themes carry it; the rest is in assets/*.css."""

import gradio as gr

from web.page import assets

STYLES = [
    assets.path(name)
    for name in (
        "palette.css",
        "look.css",
        "shelf.css",
        "sidebars.css",
        "attachments.css",
        "settings.css",
        "answers.css",
        "completion.css",
    )
]


def theme() -> gr.themes.Base:
    """Soft, with fonts that are on every machine, so that nothing is fetched."""
    soft = gr.themes.Soft(
        primary_hue="orange",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return soft.set(
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
        # Dark enough for white words on it.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
    )
