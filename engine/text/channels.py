"""Replies in channels (gpt-oss's harmony format) as text with marks of thoughts, and back.

Owns: the format. Such a model names a channel in front of whatever it says: `analysis`, its thoughts,
`commentary`, and `final`, the answer. The format's special tokens are one noncharacter each wherever the engine
handles text, so that what people write can never be taken for one. Does not know: token ids, templates.
"""

import re
from collections.abc import Container

from engine.text.wordless import CLOSE_THOUGHTS, OPEN_THOUGHTS

_START, _CHANNEL, _MESSAGE, _END = "\ufdd3", "\ufdd4", "\ufdd5", "\ufdd6"
MARKS = {"<|start|>": _START, "<|channel|>": _CHANNEL, "<|message|>": _MESSAGE, "<|end|>": _END}

_FINAL = f"{_CHANNEL}final{_MESSAGE}"
_ANALYSIS = f"{_CHANNEL}analysis{_MESSAGE}"
_NEXT = f"{_END}{_START}assistant{_FINAL}"
_OPENING, _CLOSING = f"{OPEN_THOUGHTS}\n", f"\n{CLOSE_THOUGHTS}\n\n"
_HEADER = re.compile(rf"\A[^{_MESSAGE}]*{_MESSAGE}")
_STRAY = re.compile(rf"[{_START}{_CHANNEL}{_MESSAGE}].*", re.DOTALL)  # a header that is not whole


def has_channels(special_tokens: Container[str]) -> bool:
    """Whether a tokenizer has the special tokens of the format."""
    return all(string in special_tokens for string in MARKS)


def marked(text: str) -> str:
    """Text with the noncharacters in place of the special strings."""
    for string, mark in MARKS.items():
        text = text.replace(string, mark)
    return text


def spelled(text: str) -> str:
    """Text with the special strings in place of the noncharacters."""
    for string, mark in MARKS.items():
        text = text.replace(mark, string)
    return text


def shown(spoken: str) -> str:
    """What people see of a reply, or of its beginning: its thoughts between marks, then what it says.

    Of a longer beginning it is a longer one.
    """
    thoughts, said = list[str](), list[str]()
    for message in spoken.split(_END):
        header = _HEADER.match(message)
        if header is None and (thoughts or said):
            continue  # what stands between messages
        body = _STRAY.sub("", message[header.end() :] if header else message)
        is_answer = header is None or _FINAL in header[0]
        (said if is_answer or said else thoughts).append(body)
    opened = _OPENING + "\n\n".join(thoughts) if thoughts else ""
    return opened + (_CLOSING if thoughts and said else "") + "\n\n".join(said)


def channel_of_answers() -> str:
    """The marks and the name in front of an answer."""
    return _FINAL


def prompt_without_thoughts(prompt: str) -> str:
    """A prompt, ending where the reply begins, that has chosen the channel of answers for it."""
    return prompt + _FINAL


def prompt_with(prompt: str, reply: str) -> str:
    """A prompt that ends in the beginning of its reply, which people see as `reply`."""
    if not reply:
        return prompt
    prompt = prompt.removesuffix(_FINAL)
    if not reply.startswith(OPEN_THOUGHTS):
        return prompt + _FINAL + reply
    thoughts, closing, answer = reply.partition(_CLOSING)
    told = prompt + _ANALYSIS + thoughts.removeprefix(_OPENING)
    return told + (_NEXT + answer if closing else "")


def without_thoughts(reply: str) -> str:
    """A reply as the template gets it, which leaves thoughts out or refuses them."""
    if not reply.startswith(OPEN_THOUGHTS):
        return reply
    return reply.partition(CLOSE_THOUGHTS)[2].lstrip("\n")
