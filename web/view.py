"""A frame as messages of the page, in the page's language.

Owns: how a turn looks. What the model said goes out as it is: content parts are never trimmed or
unindented, as Gradio does with plain strings. Does not know events or the engine's methods.
"""

import html
from collections.abc import Sequence

from engine import Message, events
from web.frames import Endings, Frame, Preparing, Progress
from web.history import PageMessage
from web.startup import Startup
from web.texts import say


def conversation(messages: Sequence[Message], endings: Endings, language: str) -> list[PageMessage]:
    """The messages of a conversation, each reply with the line of its turn."""
    shown: list[PageMessage] = []
    for index, message in enumerate(messages):
        if message.role == "assistant":
            shown.append(_reply(message.content, endings.get(index), language))
        else:
            shown.append(_user(message.content))
    return shown


def turn(frame: Frame, startup: Startup, language: str) -> list[PageMessage]:
    """The messages of a running turn."""
    shown = [_user(frame.message)] if frame.message.strip() else []
    if frame.refused is not None:
        return [*shown, _notice(frame.refused or say(language, "surprise"))]
    if frame.progress is not None or not (frame.text or frame.finished):
        return [*shown, _waiting(_progress(frame.progress, startup, language))]
    return [*shown, _reply(frame.text, frame.finished, language)]


def status(startup: Startup, language: str) -> str:
    """HTML of the status in the page's header."""
    match startup.phase:
        case "exporting":
            step = f" {startup.step.what} {startup.step.percent} %" if startup.step else ""
            text = say(language, "exporting", model=startup.model_name) + step
        case "failed":
            text = say(language, "failed", reason=startup.failure)
        case phase:
            text = say(language, phase, model=startup.model_name)
    return f'<span class="status {startup.phase}" role="status">{html.escape(text)}</span>'


def ending_line(ending: events.Finished, language: str) -> str:
    """What a reply cost and why it ended, in one line."""
    figures = ending.figures
    key = "figures" if figures.ttft_s is not None and figures.tokens_per_s else "figures_short"
    line = say(
        language,
        key,
        reused=f"{figures.reused_tokens:,}",
        prefilled=f"{figures.prefilled_tokens:,}",
        ttft=f"{figures.ttft_s or 0:.2f}",
        rate=f"{figures.tokens_per_s or 0:.0f}",
    )
    if ending.reason == events.FinishReason.CANCELLED:
        line += " · " + say(language, "stopped")
    elif ending.reason == events.FinishReason.LENGTH and not figures.note:
        line += " · " + say(language, "length")
    return line


def _user(text: str) -> PageMessage:
    return {"role": "user", "content": [_part(text)]}


def _reply(text: str, ending: events.Finished | None, language: str) -> PageMessage:
    parts = [_part(text)] if text else []
    if ending is not None:
        sentences = filter(None, (ending.error, ending.figures.note))
        parts.extend(_part(_small("notice", sentence)) for sentence in sentences)
        parts.append(_part(_small("turn-line", ending_line(ending, language))))
    return {"role": "assistant", "content": parts}


def _waiting(title: str) -> PageMessage:
    return {"role": "assistant", "content": [_part("")],
            "metadata": {"title": title, "status": "pending"}}  # fmt: skip


def _notice(sentence: str) -> PageMessage:
    return {"role": "assistant", "content": [_part(_small("notice", sentence))]}


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _small(css_class: str, text: str) -> str:
    return f'<span class="{css_class}">{html.escape(text)}</span>'


def _progress(progress: Progress | None, startup: Startup, language: str) -> str:
    match progress:
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
