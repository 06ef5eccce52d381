"""A frame as messages of the page, in the page's language.

Owns: how a turn looks, from its parts. Content parts are never trimmed or unindented, as Gradio does
with plain strings. Does not know events or the engine's methods.
"""

from collections.abc import Sequence

from engine import events
from engine.conversations import Entry, Node
from web.files import read_message
from web.languages import say, translated
from web.startup import Startup
from web.turns import Frame, PageMessage
from web.view import answers, figures, thoughts
from web.view.spans import small
from web.view.waiting import progress, waiting


def conversation(
    entries: Sequence[Entry], language: str, *, key: str = "", is_over: bool = True
) -> list[PageMessage]:
    """The messages of a conversation, each reply with what stands below it.

    key: the owner's `control_key`, without which the tools do nothing. is_over: no turn is under way,
    so that the last reply may be continued.
    """
    last = entries[-1] if entries else None
    # An edited answer has no ending: what the model saw before it, it sees now.
    endings = [entry.node.ending for entry in entries if entry.node.ending]
    hidden = endings[-1].figures.first_visible if endings else 0
    shown: list[PageMessage] = []
    for index, entry in enumerate(entries):
        shown += _stored(
            entry,
            language,
            key,
            is_last=is_over and entry is last,
            is_first=index <= 1,
            ends_hidden=index + 1 == hidden < len(entries),
        )
    return shown


def moment(frame: Frame, startup: Startup, language: str, *, key: str = "") -> list[PageMessage]:
    """The whole conversation at this moment of a turn."""
    kept = conversation(frame.kept, language, key=key, is_over=frame.is_last)
    return [*kept, *turn(frame, startup, language, key=key)]


def turn(frame: Frame, startup: Startup, language: str, *, key: str = "") -> list[PageMessage]:
    """The messages of a turn beyond those that were kept."""
    if frame.is_whole:
        late = frame.finished is not None and not frame.finished.is_stored
        return [notice(say(language, "not_stored_yet"))] if late else []
    shown = [user(frame.message)] if frame.message.strip() else []
    if (sentence := refusal(frame, language)) is not None:
        return [*shown, notice(sentence, answers.plain_tools("", language, key))]
    if not frame.text and (frame.progress is not None or not frame.is_last):
        return [*shown, pending(progress(frame.progress, startup, language))]
    is_first = not frame.kept
    below = _below(frame.finished, language, key, is_first=is_first) if frame.finished else []
    if frame.is_abandoned:
        below.append(small("notice", say(language, "stopped")))
    thinking = thoughts.Thinking(frame.opens_thinking)
    if frame.finished:
        thinking = thoughts.thinking_of(frame.finished)
    reply = thoughts.reply(frame.text, below, language, is_over=frame.is_last, thinking=thinking)
    return [*shown, *reply]


def refusal(frame: Frame, language: str) -> str | None:
    """What to tell the person if the turn was not taken."""
    if frame.is_busy:
        return say(language, "busy")
    if frame.refused is None:
        return None
    return translated(frame.refused, language) or say(language, "surprise")


def user(message: str, tools: str = "") -> PageMessage:
    """What the person said: its files as chips that unfold, then what was typed, and HTML of tools."""
    return _message("user", read_message(message).shown(tools))


def notice(sentence: str, tools: str = "") -> PageMessage:
    """A sentence in the place of a reply."""
    return _message("assistant", small("notice", sentence), tools)


def pending(sentence: str = "") -> PageMessage:
    """That a reply is about to come."""
    return _message("assistant", waiting(sentence))


def _stored(
    entry: Entry, language: str, key: str, *, is_last: bool, is_first: bool, ends_hidden: bool
) -> list[PageMessage]:
    node = entry.node
    if node.role != "assistant":
        return [user(node.content, answers.question_tools(entry, language, key))]
    below = _notices(node.ending, language)
    if node.ending is None and node.status == "interrupted":
        below.append(small("notice", say(language, "interrupted")))
    line = _line(node, language, is_first=is_first)
    below.append(answers.reply_tools(entry, line, is_last=is_last, language=language, key=key))
    if ends_hidden:  # the model no longer sees it, nor what is above
        below.append(small("hidden-line", say(language, "hidden_above")))
    thinking = thoughts.thinking_in(node)
    return thoughts.reply(node.content, below, language, is_over=True, thinking=thinking)


def _line(reply: Node, language: str, *, is_first: bool) -> str:
    """HTML of what a stored reply cost, and that a person has edited it; empty if its end was not seen."""
    if reply.is_edited:
        return figures.edited_line(reply.ending, language, is_first=is_first)
    return figures.turn_line(reply.ending, language, is_first=is_first) if reply.ending else ""


def _below(ending: events.Finished, language: str, key: str, *, is_first: bool) -> list[str]:
    """What stands below a reply that is over and not stored: nothing can be done with it but again."""
    line = figures.turn_line(ending, language, is_first=is_first)
    return [*_notices(ending, language), answers.plain_tools(line, language, key)]


def _notices(ending: events.Finished | None, language: str) -> list[str]:
    sentences = figures.notes(ending, language) if ending else []
    return [small("notice", sentence) for sentence in sentences]


def _message(role: str, *parts: str) -> PageMessage:
    content = [{"type": "text", "text": part} for part in parts if part]
    return {"role": role, "content": content or [{"type": "text", "text": ""}]}
