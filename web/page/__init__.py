"""What a person sees: layout, components, and which function each event calls.

Knows Gradio; does not know what the functions do (web.events), nor how a turn runs.
"""

from web.page.first import first
from web.page.header import BRAND, LOGO
from web.page.images import head
from web.page.theme import STYLES, theme
from web.page.ui import build_page
from web.page.words import words

__all__ = ["BRAND", "LOGO", "STYLES", "build_page", "first", "head", "theme", "words"]
