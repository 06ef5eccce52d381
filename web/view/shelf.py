"""The list of a person's conversations, beside the chat, as HTML.

Does not know Gradio, or what its buttons do.
"""

import html
from collections.abc import Sequence

from engine.conversations import ConversationRow
from web.files import readable_title
from web.languages import say

_TOOLS = (("pin", "☆"), ("rename", "✎"), ("delete", "✕"))


def conversation_list(
    rows: Sequence[ConversationRow],
    current: str,
    language: str,
    deleted: str | None = None,
    *,
    key: str = "",
) -> str:
    """HTML of the list. current, deleted: ids of the open conversation, and of one to bring back.

    key: the owner's `control_key`, which the page knows from here.
    """
    items = "".join(_item(row, row.id == current, language) for row in rows)
    if not rows:
        items = f'<li class="none">{html.escape(say(language, "no_conversations"))}</li>'
    undo = ""
    if deleted is not None:
        button = _button("undelete", say(language, "undo"), say(language, "undo"))
        text = html.escape(say(language, "deleted"))
        undo = f'<p class="undo" role="status" data-id="{html.escape(deleted)}">{text} {button}</p>'
    return f'{undo}<ul class="shelf" data-key="{key}">{items}</ul>'


def _item(row: ConversationRow, is_current: bool, language: str) -> str:
    title = html.escape(readable_title(row.title) or say(language, "new_chat"))
    here = ' aria-current="true"' if is_current else ""
    tools = "".join(_tool(act, sign, row.pinned, language) for act, sign in _TOOLS)
    return (
        f'<li data-id="{html.escape(row.id)}"{here}><button class="open" data-act="open">'
        f'<span class="title">{title}</span></button><span class="tools">{tools}</span></li>'
    )


def _tool(act: str, sign: str, pinned: bool, language: str) -> str:
    if act == "pin" and pinned:
        act, sign = "unpin", "★"
    return _button(act, sign, say(language, act))


def _button(act: str, content: str, label: str) -> str:
    label = html.escape(label)
    return f'<button data-act="{act}" title="{label}" aria-label="{label}">{content}</button>'
