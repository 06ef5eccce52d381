"""What a person typed, as the page shows it: as typed, but for mathematics; and the exact way back.

Owns: the form, one piece of HTML without a live sign, which Markdown leaves alone. The page's history
comes back in it, for Edit and Retry. What it begins with nobody can type by accident. Does not know files.
"""

import html

from web.writing import code, mathematics

_BEGIN, _END = '<div class="typed" data-form="\ufdef">', "</div>"
# What HTML, Markdown, KaTeX or Gradio would take for its own, and what a formula is marked with.
_SPECIAL = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\n\r$\\`*_[]{}%|~\t"}
_SPECIAL |= {ord(sign): f"&#{ord(sign)};" for sign in mathematics.WRITTEN}
_IN_FORMULA = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\n\r\t"}


def typed(text: str, behind: str = "") -> str:
    """HTML of the text, and HTML behind it that is no part of it; empty if there is neither."""
    if not text and not behind:
        return ""
    shown = "".join(
        part.translate(_SPECIAL) if is_code else _prose(part) for is_code, part in code.parts(text)
    )
    return f"{_BEGIN}{shown}{_END}{behind}"


def read_typed(shown: str) -> str:
    """The text that `shown` is the HTML of; anything else is the text itself."""
    if not shown.startswith(_BEGIN):
        return shown
    inner, _, _ = shown.removeprefix(_BEGIN).partition(_END)
    return html.unescape(mathematics.as_written(inner))


def _prose(text: str) -> str:
    return "".join(
        piece.translate(_IN_FORMULA if is_formula else _SPECIAL)
        for is_formula, piece in mathematics.pieces(text)
    )
