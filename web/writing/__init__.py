"""What people and models write, as the page is to show it: code, mathematics, angle brackets, typed words.

Pure functions of a text. Knows what Gradio's Markdown makes of it; knows no message, no language and no
component.
"""

from web.writing.answered import answered
from web.writing.mathematics import LATEX_DELIMITERS, WRITTEN
from web.writing.typed import read_typed, typed

__all__ = ["LATEX_DELIMITERS", "WRITTEN", "answered", "read_typed", "typed"]
