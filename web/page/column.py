"""The scripts of the column of messages, with the words that they say.

Owns: which scripts these are, their order, and what they get from here. What they do stands in each.
"""

import json
from typing import Any

from web.languages import LANGUAGES, TEXTS
from web.page import assets
from web.writing import WRITTEN

_FILES = ("column.js", "answers.js", "editing.js", "messages.js", "typed.js", "scrolling.js")
_KEYS = ("copy", "to_end")


def scripts() -> str:
    """They run once, where the list of conversations is `element`."""
    words = {language: {key: TEXTS[language][key] for key in _KEYS} for language in LANGUAGES}
    text = assets.text(*_FILES)
    return text.replace("__WORDS__", _literal(words)).replace("__SIGNS__", _literal(WRITTEN))


def _literal(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
