"""Every word of the page in three languages, and which language a request is answered in.

Knows nothing of the page, the engine or Gradio; a file for each language, and one for what the engine
and one for what the start says in it.
"""

from web.languages.sentences import translated
from web.languages.spoken import COOKIE, RequestHeaders, chosen, spoken
from web.languages.texts import ENGLISH, EXAMPLES, LANGUAGES, NAMES, TEXTS, for_browser, say
from web.languages.tongue import Tongue

__all__ = [
    "COOKIE",
    "ENGLISH",
    "EXAMPLES",
    "LANGUAGES",
    "NAMES",
    "TEXTS",
    "RequestHeaders",
    "Tongue",
    "chosen",
    "for_browser",
    "say",
    "spoken",
    "translated",
]
