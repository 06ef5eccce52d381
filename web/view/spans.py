"""Small text, safe in HTML."""

import html


def small(css_class: str, text: str) -> str:
    """HTML of a text that the style of `css_class` is for."""
    return f'<span class="{css_class}">{html.escape(text)}</span>'
