"""What a model thinks before it answers, apart from the answer, so that the page can fold it.

Owns: where a reply's thoughts begin and end, and how the page shows them: as a message of their own in
front of the answer's, which counts for nothing in the page's history. The engine's reply is untouched.
Only thoughts in front of the answer are folded: behind it `<think>` is what the answer is about.
"""

import re
from collections.abc import Sequence

from web.languages import say
from web.turns import PageMessage
from web.writing import answered

OPEN, CLOSE = "<think>", "</think>"

# Some templates end with the opening mark, so that the reply begins behind it.
_UNOPENED = re.compile(rf"((?:(?!{OPEN}).)*\n){CLOSE}(?=\n|\Z)", re.DOTALL)


def split(reply: str) -> tuple[str | None, bool, str]:
    """Thoughts (None if there are none), whether they are complete, and the answer.

    Thoughts that say nothing are none. The marks and the white space around them belong to neither.
    """
    start = reply.lstrip()
    if start.startswith(OPEN):
        thoughts, closed, answer = start.removeprefix(OPEN).partition(CLOSE)
        if not thoughts.strip() and closed:
            return None, True, answer.lstrip("\n")
        return thoughts.strip("\n"), bool(closed), answer.lstrip("\n")
    if found := _UNOPENED.match(reply):
        return found[1].strip("\n"), True, reply[found.end() :].lstrip("\n")
    return None, True, reply


def reply(text: str, below: Sequence[str], language: str, *, is_over: bool) -> list[PageMessage]:
    """The messages of a reply: its thoughts, if it has any, and the answer with HTML below it.

    is_over: nothing more comes, so what is open stays so.
    """
    thoughts, is_complete, answer = split(text)
    if not is_over and text.strip() and OPEN.startswith(text.strip()):
        thoughts, is_complete, answer = "", False, ""  # the mark is on its way
    shown = [] if thoughts is None else [_thoughts(thoughts, language, is_complete or is_over)]
    if answer or below or is_over or not shown:
        parts = [answered(answer, is_over=is_over)] if answer else []
        shown.append(_assistant(*parts, *below))
    return shown


def _thoughts(text: str, language: str, is_over: bool) -> PageMessage:
    title = say(language, "thoughts" if is_over else "thoughts_pending")
    status = "done" if is_over else "pending"
    return _assistant(answered(text, is_over=is_over)) | {
        "metadata": {"title": title, "status": status}
    }


def _assistant(*parts: str) -> PageMessage:
    return {"role": "assistant", "content": [{"type": "text", "text": p} for p in parts or ("",)]}
