"""How a title is asked for, in the conversation's language, and what of the answer is good enough.

Pure. Small models make titles up, repeat themselves and talk about the task: none of that is a title.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.conversations import MAX_TITLE_LENGTH
from engine.text import Message

_STEM_LENGTH = 5
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_THOUGHT = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)
_LABEL = re.compile(r"^(title|headline|topic|标题|標題|主题|主題)\s*[:：]\s*", re.IGNORECASE)
_FRAME = " \t#*_`\"'“”‘’「」『』《》【】"
_END = ".。!！,，;；:：…-–—"
_NO_TITLE = re.compile(
    r"^(here|sure|okay|certainly|of course|sorry|i\b|i'm|i am|as an|this (is|conversation)\b"
    r"|the (title|conversation|topic)\b|(a )?title\b|好的|当然|抱歉|对不起|對不起|這段|这段|作为|作為)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a title is asked for. opening: what the reply begins with, so that a title follows."""

    instruction: str
    opening: str


ENGLISH = Wording(
    "Give this conversation a title of at most six words.",
    'Title: "',
)
SIMPLIFIED = Wording("给我们这段对话起一个标题，最多十二个字，只写标题。", "标题：《")
TRADITIONAL = Wording("給我們這段對話起一個標題，最多十二個字，只寫標題。", "標題：《")


def wording_for(message: str) -> Wording:
    """How to ask in the language of a conversation that begins with `message`."""
    han = "".join(_HAN.findall(message))
    if not han:
        return ENGLISH
    return SIMPLIFIED if _fits(han, "gb2312") or not _fits(han, "big5") else TRADITIONAL


def closing(said: str, wording: Wording) -> int | None:
    """Where in `said` the title ends: at its closing quotation mark, or at the end of its line."""
    marks = '"”\n' if wording is ENGLISH else "》」\n"
    begin = len(said) - len(said.lstrip())
    return min((i for m in marks if (i := said.find(m, begin)) >= 0), default=None)


def title_of(said: str, wording: Wording) -> str | None:
    """The title that the model's words hold, or None if they are not good enough for one."""
    text = _THOUGHT.sub("", said)
    end = closing(text, wording)
    line = _LABEL.sub("", " ".join(text[:end].split()).strip(_FRAME))
    title = line.strip(_FRAME).rstrip(_END).strip(_FRAME)
    return None if _is_silly(title, is_whole=end is not None) else title


def is_about(title: str, messages: Sequence[Message]) -> bool:
    """Whether a word of the title, or its beginning, stands in the talk: small models make things up."""
    talk = " ".join(message.content for message in messages).lower()
    words = [word for word in re.findall(r"[^\W_]+", title.lower()) if not _HAN.search(word)]
    stems = [word[:_STEM_LENGTH] for word in words if len(word) >= 4 or word.isdigit()]
    spoken = {word[:_STEM_LENGTH] for word in re.findall(r"[^\W_]+", talk)}
    is_told = any(stem in spoken for stem in stems)
    return is_told or len(set(_HAN.findall(title)) & set(_HAN.findall(talk))) >= 2


def _is_silly(title: str, *, is_whole: bool) -> bool:
    words = title.lower().split()
    return (
        len(title) > MAX_TITLE_LENGTH
        or len(re.findall(r"[^\W_]", title)) < 2
        or "\ufffd" in title
        or _NO_TITLE.match(title) is not None
        or len(words) > 2 * len(set(words))
        or not is_whole
    )


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
