"""How things look: messages of the chat, and HTML of what stands around it, in the page's language.

Pure functions of what there is to show; knows no event, no component and no method of the engine.
"""

from web.view.answers import control_key
from web.view.messages import (
    conversation,
    ending_line,
    notice,
    progress,
    reason,
    refusal,
    turn,
    user,
)
from web.view.panel import live_panel
from web.view.shelf import conversation_list
from web.view.signs import (
    account,
    draft_sign,
    drawer_buttons,
    gauge,
    language_choice,
    welcome,
)
from web.view.status import can_chat, status

__all__ = [
    "account",
    "can_chat",
    "control_key",
    "conversation",
    "conversation_list",
    "draft_sign",
    "drawer_buttons",
    "ending_line",
    "gauge",
    "language_choice",
    "live_panel",
    "notice",
    "progress",
    "reason",
    "refusal",
    "status",
    "turn",
    "user",
    "welcome",
]
