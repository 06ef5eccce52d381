"""The scripts of the column of messages, with the words that they and those behind them say.

Owns: which scripts these are, their order, and what they get from here. What they do stands in each.
"""

from web.languages import LANGUAGES, TEXTS
from web.page import assets
from web.writing import WRITTEN

_FILES = ("column.js", "answers.js", "editing.js", "messages.js", "typed.js", "scrolling.js")
_KEYS = (
    "copy", "to_end", "new_chat", "shortcuts", "close", "key_send", "key_line", "key_stop", "key_box",
    "key_search", "key_list", "key_settings", "key_shortcuts",
)  # fmt: skip


def scripts() -> str:
    """They run once, where the list of conversations is `element`."""
    words = {language: {key: TEXTS[language][key] for key in _KEYS} for language in LANGUAGES}
    text = assets.text(*_FILES)
    return text.replace("__WORDS__", assets.literal(words)).replace(
        "__SIGNS__", assets.literal(WRITTEN)
    )
