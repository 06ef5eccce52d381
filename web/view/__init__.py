"""How things look: messages of the chat, and HTML of what stands around it, in the page's language.

Pure functions of what there is to show; knows no event, no component and no method of the engine.
"""

from web.view.answers import control_key
from web.view.days import reader_now
from web.view.editor import editor
from web.view.figures import ending_line, notes, reason
from web.view.messages import conversation, moment, notice, pending, refusal, turn, user
from web.view.panel import live_panel
from web.view.shelf import Marks, conversation_list
from web.view.signs import (
    account,
    draft_sign,
    drawer_buttons,
    gauge,
    language_choice,
    welcome,
)
from web.view.status import can_chat, first_start, status
from web.view.thoughts import answer_in, with_answer
from web.view.waiting import progress

__all__ = [
    "Marks",
    "account",
    "answer_in",
    "can_chat",
    "control_key",
    "conversation",
    "conversation_list",
    "draft_sign",
    "drawer_buttons",
    "editor",
    "ending_line",
    "first_start",
    "gauge",
    "language_choice",
    "live_panel",
    "moment",
    "notes",
    "notice",
    "pending",
    "progress",
    "reader_now",
    "reason",
    "refusal",
    "status",
    "turn",
    "user",
    "welcome",
    "with_answer",
]
