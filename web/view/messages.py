"""A frame as messages of the page, in the page's language.

Owns: how a turn looks. What the model said goes out as it is: content parts are never trimmed or
unindented, as Gradio does with plain strings. Does not know events or the engine's methods.
"""

from collections.abc import Sequence

from engine import events
from engine.conversations import Entry
from engine.metrics import KVSource, TurnFigures
from web.files import read_message
from web.languages import say
from web.startup import Startup
from web.turns import Frame, PageMessage, Preparing, Progress
from web.view import answers, thoughts
from web.view.spans import small

_WORTH_TELLING_S = 0.05
_SOURCES = {
    KVSource.MEMORY: "source_memory",
    KVSource.DISK: "source_disk",
    KVSource.RECOMPUTED: "source_recomputed",
}


def conversation(
    entries: Sequence[Entry], language: str, *, key: str = "", is_over: bool = True
) -> list[PageMessage]:
    """The messages of a conversation, each reply with the line of its turn and its tools.

    key: the owner's `control_key`, without which the tools do nothing. is_over: no turn is under way,
    so that the last reply may be continued.
    """
    last = entries[-1] if entries else None
    shown = [_stored(entry, language, key, is_last=is_over and entry is last) for entry in entries]
    if last is not None and last.node.ending is not None:
        _mark_hidden(shown, last.node.ending.figures.first_visible, language)
    messages = [
        m
        for entry, message in zip(entries, shown, strict=True)
        for m in _around(entry, message, language, key)
    ]
    return thoughts.fold(messages, language, is_over=True)


def moment(frame: Frame, startup: Startup, language: str, *, key: str = "") -> list[PageMessage]:
    """The whole conversation at this moment of a turn."""
    kept = conversation(frame.kept, language, key=key, is_over=frame.is_last)
    return [*kept, *turn(frame, startup, language)]


def turn(frame: Frame, startup: Startup, language: str) -> list[PageMessage]:
    """The messages of a turn beyond those that were kept."""
    if frame.is_whole:
        late = frame.finished is not None and not frame.finished.is_stored
        return [notice(say(language, "not_stored_yet"))] if late else []
    shown = [user(frame.message)] if frame.message.strip() else []
    if (sentence := refusal(frame, language)) is not None:
        return [*shown, notice(sentence)]
    if not frame.text and not frame.is_last:
        return [*shown, _waiting(progress(frame.progress, startup, language))]
    reply = _reply(frame.text, frame.finished, language)
    if frame.is_abandoned:
        reply["content"].append(_part(small("notice", say(language, "stopped"))))
    return [*shown, *thoughts.fold([reply], language, is_over=frame.is_last)]


def refusal(frame: Frame, language: str) -> str | None:
    """What to tell the person if the turn was not taken."""
    if frame.is_busy:
        return say(language, "busy")
    return say(language, "surprise") if frame.refused == "" else frame.refused


def ending_line(ending: events.Finished, language: str) -> str:
    """What a reply cost and why it ended, in one line."""
    return " · ".join(
        filter(None, (_figures_line(ending.figures, language), reason(ending, language)))
    )


def reason(ending: events.Finished, language: str) -> str | None:
    """Why a reply is not as long as it could be."""
    if ending.reason == events.FinishReason.CANCELLED:
        return say(language, "stopped")
    if ending.reason == events.FinishReason.LENGTH and not ending.figures.note:
        return say(language, "length")
    return None


def _figures_line(figures: TurnFigures, language: str) -> str:
    key = "figures" if figures.ttft_s is not None and figures.tokens_per_s else "figures_short"
    reused = f"{figures.reused_tokens:,}"
    if figures.reused_tokens or figures.source is not KVSource.MEMORY:
        reused += f" ({say(language, _SOURCES[figures.source])})"
    line = say(
        language,
        key,
        reused=reused,
        prefilled=f"{figures.prefilled_tokens:,}",
        ttft=f"{figures.ttft_s or 0:.2f}",
        rate=f"{figures.tokens_per_s or 0:.0f}",
    )
    if (figures.saved_s or 0) >= _WORTH_TELLING_S:
        line += " · " + say(language, "saved", seconds=f"{figures.saved_s:.1f}")
    return line


def _stored(entry: Entry, language: str, key: str, *, is_last: bool) -> PageMessage:
    node = entry.node
    if node.role != "assistant":
        return user(node.content)
    shown = _reply(node.content, node.ending, language)
    if node.ending is None and node.status == "interrupted":
        shown["content"].append(_part(small("notice", say(language, "interrupted"))))
    tools = answers.reply_tools(entry, is_last=is_last, language=language, key=key)
    shown["content"].append(_part(tools))
    return shown


def _around(entry: Entry, shown: PageMessage, language: str, key: str) -> list[PageMessage]:
    """A message, and behind the person's own the arrows to its versions, if it has any.

    They are no part of it: the page says it again as it stands there.
    """
    tools = answers.question_tools(entry, language, key) if entry.node.role == "user" else ""
    return [shown, {"role": "assistant", "content": [_part(tools)]}] if tools else [shown]


def _mark_hidden(shown: list[PageMessage], first_visible: int, language: str) -> None:
    """Say behind the last message that no longer fits that the model does not see it."""
    if 0 < first_visible < len(shown) and shown[first_visible - 1]["role"] == "assistant":
        line = _part(small("hidden-line", say(language, "hidden_above")))
        shown[first_visible - 1]["content"].append(line)


def user(message: str) -> PageMessage:
    """What the person said: its files as chips that unfold, then what was typed."""
    return {"role": "user", "content": [_part(read_message(message).shown)]}


def _reply(text: str, ending: events.Finished | None, language: str) -> PageMessage:
    parts = [_part(text)] if text else []
    if ending is not None:
        sentences = filter(None, (ending.error, ending.figures.note))
        parts.extend(_part(small("notice", sentence)) for sentence in sentences)
        parts.append(_part(small("turn-line", ending_line(ending, language))))
    return {"role": "assistant", "content": parts}


def _waiting(title: str) -> PageMessage:
    return {"role": "assistant", "content": [_part("")],
            "metadata": {"title": title, "status": "pending"}}  # fmt: skip


def notice(sentence: str) -> PageMessage:
    """A sentence in the place of a reply."""
    return {"role": "assistant", "content": [_part(small("notice", sentence))]}


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def progress(moment: Progress | None, startup: Startup, language: str) -> str:
    """Why there is no text yet."""
    match moment:
        case events.Queued(position=0):
            return say(language, "queued")
        case events.Queued(position=ahead):
            return say(language, "queued_behind", ahead=ahead)
        case events.Prefilling(done=done, total=total) if total:
            return say(language, "prefill", percent=round(100 * done / total))
        case Preparing() if not startup.is_settled:
            return say(language, startup.phase, model=startup.model_name)
        case _:
            return say(language, "thinking")
