"""How much of a conversation stays, read off the page's history.

Owns: the reading of Gradio's histories and the one rule behind Retry, Undo, Edit and a plain
message: common prefix, truncate. Pure. Texts of the page are used to count, never to be shown or
sent to the model: the canonical messages are the engine's.
"""

import re
from collections.abc import Sequence
from typing import Any

from engine import Message
from web.files import read_page

PageMessage = dict[str, Any]

_LINE_END = re.compile(r"\r\n?")


def text_of(content: Any) -> str:
    """The text of one history entry; the page sends parts, gradio_client plain strings."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return str(content.get("text") or "")
    if isinstance(content, Sequence):
        return "".join(text_of(part) for part in content)
    return ""


def user_texts(history: Sequence[PageMessage]) -> list[str]:
    """What the person said, in order, with the files that went with it."""
    said = [text_of(entry["content"]) for entry in history if entry["role"] == "user"]
    return [read_page(text).message for text in said]


def same_text(left: str, right: str) -> bool:
    """Whether two user messages say the same: a browser's text box knows one end of a line only."""
    return _LINE_END.sub("\n", left) == _LINE_END.sub("\n", right)


def _same_words(left: str, right: str) -> bool:
    """Whether two user messages differ in white space only, which histories of other programs may trim."""
    return left.split() == right.split()


def kept_messages(history: Sequence[PageMessage], canonical: Sequence[Message]) -> int:
    """How many of `canonical` precede the new message, given the page's history before it.

    Everything up to and including the reply to the last user message that both know. A message that
    only the page knows (refused, or stopped before the engine took it) counts for nothing; one that
    only the engine knows stays if a later one is known to both. A history of which the engine knows
    nothing is another conversation's, whose page has moved on meanwhile: then everything stays.
    """
    questions = [i for i, message in enumerate(canonical) if message.role == "user"]
    matched = 0  # questions[:matched] stay
    texts = user_texts(history)
    for text in texts:
        for ahead in range(matched, len(questions)):
            if _same_words(text, canonical[questions[ahead]].content):
                matched = ahead + 1
                break
    if matched == 0 and any(text.strip() for text in texts):
        return len(canonical)
    return questions[matched] if matched < len(questions) else len(canonical)
