"""What a model thinks before it answers, apart from the answer, so that the page can fold it.

Owns: where a reply's thoughts begin and end, and how the page shows them: as a message of their own in
front of the answer's, which counts for nothing in the page's history. The engine's reply is untouched.
Only thoughts in front of the answer are folded: behind it `<think>` is what the answer is about.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.conversations import Node
from engine.events import Finished
from engine.text import CLOSE_THOUGHTS, OPEN_THOUGHTS
from web.languages import say
from web.turns import PageMessage
from web.writing import answered

# Some templates end with the opening mark; of a reply whose prompt is not known this tells that it did.
_UNOPENED = re.compile(rf"((?:(?!{OPEN_THOUGHTS}).)*\n){CLOSE_THOUGHTS}(?=\n|\Z)", re.DOTALL)


def split(reply: str, *, is_opened: bool = False) -> tuple[str | None, bool, str]:
    """Thoughts (None if there are none), whether they are complete, and the answer.

    is_opened: the reply begins inside the thoughts, which the prompt has opened. Thoughts that say
    nothing are none. The marks and the white space around them belong to neither.
    """
    start = reply.lstrip()
    if is_opened or start.startswith(OPEN_THOUGHTS):
        thoughts, closed, answer = start.removeprefix(OPEN_THOUGHTS).partition(CLOSE_THOUGHTS)
        if not thoughts.strip() and closed:
            return None, True, answer.lstrip("\n")
        return thoughts.strip("\n"), bool(closed), answer.lstrip("\n")
    if found := _UNOPENED.match(reply):
        return found[1].strip("\n"), True, reply[found.end() :].lstrip("\n")
    return None, True, reply


@dataclass(frozen=True, slots=True)
class Thinking:
    """What is known of a reply's thoughts beside its text. seconds: how long they took."""

    is_opened: bool = False
    seconds: float | None = None


def thinking_of(ending: Finished | None) -> Thinking:
    """What the end of a reply says of its thoughts."""
    if ending is None:
        return Thinking()
    return Thinking(ending.figures.opens_thinking, ending.figures.thinking_s)


def answer_in(reply: Node) -> str:
    """What of a reply is its answer: the text as the model wrote it, without thoughts."""
    is_opened = bool(reply.content) and thinking_in(reply).is_opened
    return split(reply.content, is_opened=is_opened)[2]


def with_answer(reply: Node, answer: str) -> str:
    """The text of a reply with another answer behind its thoughts; the same if only the ends of lines differ."""
    own = answer_in(reply)
    if answer == "\n".join(re.split(r"\r\n?", own)):  # a browser's text box knows no other end
        return reply.content
    return reply.content.removesuffix(own) + answer


def thinking_in(node: Node) -> Thinking:
    """What is known of a stored reply's thoughts; of one that a person has edited, its text alone tells."""
    told = thinking_of(node.ending)
    if not node.is_edited or told.is_opened:
        return told
    before, closing, _ = node.content.partition(CLOSE_THOUGHTS)
    return replace(told, is_opened=bool(closing) and OPEN_THOUGHTS not in before)


def reply(
    text: str,
    below: Sequence[str],
    language: str,
    *,
    is_over: bool,
    thinking: Thinking = Thinking(),
) -> list[PageMessage]:
    """The messages of a reply: its thoughts, if it has any, and the answer with HTML below it.

    is_over: nothing more comes, so what is open stays so.
    """
    thoughts, is_complete, answer = split(text, is_opened=thinking.is_opened and bool(text))
    if not is_over:
        thoughts, is_complete, answer = _without_half_a_mark(text, thoughts, is_complete, answer)
    is_done = is_complete or is_over
    shown = [] if thoughts is None else [_thoughts(thoughts, language, thinking.seconds, is_done)]
    if answer or below or is_over or not shown:
        parts = [answered(answer, is_over=is_over)] if answer else []
        shown.append(_assistant(*parts, *below))
    return shown


def _without_half_a_mark(
    text: str, thoughts: str | None, is_complete: bool, answer: str
) -> tuple[str | None, bool, str]:
    """A mark that is on its way is shown neither as an answer nor as a thought."""
    if text.strip() and OPEN_THOUGHTS.startswith(text.strip()):
        return "", False, ""
    if thoughts is not None and not is_complete:
        sizes = range(len(CLOSE_THOUGHTS) - 1, 0, -1)
        half = next(
            (CLOSE_THOUGHTS[:n] for n in sizes if thoughts.endswith(CLOSE_THOUGHTS[:n])), ""
        )
        return thoughts.removesuffix(half), is_complete, answer
    return thoughts, is_complete, answer


def _thoughts(text: str, language: str, seconds: float | None, is_over: bool) -> PageMessage:
    title = say(language, "thoughts" if is_over else "thoughts_pending")
    if is_over and seconds is not None:
        title = say(language, "thoughts_for", seconds=max(round(seconds), 1))
    status = "done" if is_over else "pending"
    return _assistant(answered(text, is_over=is_over)) | {
        "metadata": {"title": title, "status": status}
    }


def _assistant(*parts: str) -> PageMessage:
    return {"role": "assistant", "content": [{"type": "text", "text": p} for p in parts or ("",)]}
