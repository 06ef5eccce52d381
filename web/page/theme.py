"""The page's look, as far as Gradio's themes carry it; the rest is in assets/*.css.

The colours are variables of assets/palette.css, which has them for light and dark.
"""

import gradio as gr

from web.page import assets

STYLES = [
    assets.path(name)
    for name in (
        "palette.css",
        "layout.css",
        "header.css",
        "composer.css",
        "welcome.css",
        "shelf.css",
        "shortcuts.css",
        "sidebars.css",
        "drawer.css",
        "attachments.css",
        "messages.css",
        "markdown.css",
        "answers.css",
        "editing.css",
        "completion.css",
    )
]
_FONTS = [
    "Inter", "PingFang SC", "HarmonyOS Sans SC", "Noto Sans SC", "Microsoft YaHei",
    "WenQuanYi Micro Hei", "system-ui", "sans-serif",
]  # fmt: skip
_MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "WenQuanYi Micro Hei Mono", "monospace"]
_COLOURS = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--ink2)",
    "background_fill_primary": "var(--paper)",
    "background_fill_secondary": "var(--side)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "border_color_accent_subdued": "var(--line)",
    "color_accent_soft": "var(--soft)",
    "link_text_color": "var(--accent-ink)",
    "link_text_color_hover": "var(--accent-ink)",
    "link_text_color_active": "var(--accent-ink)",
    "link_text_color_visited": "var(--accent-ink)",
    "block_background_fill": "var(--paper)",
    "block_border_color": "var(--line)",
    "block_info_text_color": "var(--ink3)",
    "block_label_text_color": "var(--ink2)",
    "block_title_background_fill": "transparent",
    "block_title_text_color": "var(--ink)",
    "panel_background_fill": "var(--side)",
    "code_background_fill": "var(--code)",
    "input_background_fill": "var(--card)",
    "input_border_color": "var(--line)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--ink3)",
    "slider_color": "var(--accent)",
    "checkbox_background_color": "var(--card)",
    "checkbox_background_color_selected": "var(--accent-ink)",
    "checkbox_border_color": "var(--ink3)",
    "checkbox_border_color_selected": "var(--accent-ink)",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_hover": "var(--soft2)",
    "checkbox_label_background_fill_selected": "var(--soft)",
    "checkbox_label_border_color": "var(--line)",
    "checkbox_label_text_color": "var(--ink)",
    "checkbox_label_text_color_selected": "var(--accent-ink)",
    "button_primary_background_fill": "var(--accent-ink)",
    "button_primary_background_fill_hover": "color-mix(in srgb, var(--accent-ink) 85%, var(--ink))",
    "button_primary_text_color": "var(--on-accent)",
    "button_secondary_background_fill": "var(--card)",
    "button_secondary_background_fill_hover": "var(--soft2)",
    "button_secondary_border_color": "var(--line)",
    "button_secondary_text_color": "var(--ink)",
    "table_border_color": "var(--line)",
    "loader_color": "var(--accent)",
}
_SHAPES = {
    "block_border_width": "0",
    "block_shadow": "none",
    "block_title_padding": "0",
    "block_radius": "14px",
    "container_radius": "14px",
    "input_radius": "10px",
    "input_border_width": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "button_secondary_shadow": "none",
    "button_large_radius": "12px",
    "button_small_radius": "10px",
    "layout_gap": "16px",
    "checkbox_label_shadow": "none",
}


def theme() -> gr.themes.Base:
    """Base, with the palette and fonts that are on every machine, so that nothing is fetched."""
    base = gr.themes.Base(
        primary_hue="orange", neutral_hue="stone", font=_FONTS, font_mono=_MONO, radius_size="lg"
    )
    dark = {f"{name}_dark": value for name, value in _COLOURS.items()}
    return base.set(**_COLOURS, **dark, **_SHAPES, color_accent="var(--accent)")
