"""The scripts of the column of messages, and what names things on every page, with the words that they say.

Owns: which scripts these are, their order, and what they get from here. What they do stands in each.
"""

from web.page import assets
from web.writing import WRITTEN

_FILES = (
    "column.js", "answers.js", "editing.js", "messages.js", "names.js", "typed.js", "scrolling.js",
)  # fmt: skip
_KEYS = (
    "copy", "to_end", "sidebar", "conversation", "thinking", "close", "send", "completion_stop", "edit_message",
    "new_chat", "shortcuts", "key_send", "key_line", "key_stop", "key_box", "key_search", "key_list", "key_settings",
    "key_shortcuts",
)  # fmt: skip


def scripts() -> str:
    """They run once, where the list of conversations is `element`."""
    return _with_words(*_FILES)


def names() -> str:
    """What names things, for a page without a column of messages."""
    return _with_words("column.js", "names.js")


def _with_words(*files: str) -> str:
    return assets.speaking(_KEYS, *files).replace("__SIGNS__", assets.literal(WRITTEN))
