"""A frame as messages of the page, in the page's language.

Owns: how a turn looks. What the model said goes out as it is: content parts are never trimmed or
unindented, as Gradio does with plain strings. Does not know events or the engine's methods.
"""

import html
from collections.abc import Sequence

from engine import events
from engine.conversation import Entry
from engine.metrics import KVSource, TurnFigures
from web.frames import Endings, Frame, Preparing, Progress
from web.history import PageMessage
from web.startup import Startup
from web.texts import say

_WORTH_TELLING_S = 0.05
_SOURCES = {
    KVSource.MEMORY: "source_memory",
    KVSource.DISK: "source_disk",
    KVSource.RECOMPUTED: "source_recomputed",
}


def conversation(entries: Sequence[Entry], endings: Endings, language: str) -> list[PageMessage]:
    """The messages of a conversation, each reply with the line of its turn."""
    shown: list[PageMessage] = []
    for before, entry in zip((None, *entries), entries, strict=False):
        if entry.node.role == "assistant":
            shown.append(_stored_reply(entry, endings.get(entry.node.id), language))
            shown[-1]["content"] += _versions(before, entry, language)
        else:
            shown.append(_user(entry.node.content))
    if last := endings.get(entries[-1].node.id) if entries else None:
        _mark_hidden(shown, last.figures.first_visible, language)
    return shown


def turn(frame: Frame, startup: Startup, language: str) -> list[PageMessage]:
    """The messages of a turn beyond those that were kept."""
    if frame.is_whole:
        return []
    shown = [_user(frame.message)] if frame.message.strip() else []
    if frame.refused is not None:
        return [*shown, notice(frame.refused or say(language, "surprise"))]
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
    shown = f'<span class="status {startup.phase}" role="status">{html.escape(text)}</span>'
    if startup.choice is not None and startup.choice.note is not None:
        shown += _small("notice", say(language, startup.choice.note))
    return shown


def draft_sign(is_ready: bool, language: str) -> str:
    """HTML of the sign that the draft is, or is about to be, prefilled."""
    key = "draft_ready" if is_ready else "draft_pending"
    return f'<span class="{key}">{html.escape(say(language, key))}</span>'


def ending_line(ending: events.Finished, language: str) -> str:
    """What a reply cost and why it ended, in one line."""
    line = _figures_line(ending.figures, language)
    if ending.reason == events.FinishReason.CANCELLED:
        line += " · " + say(language, "stopped")
    elif ending.reason == events.FinishReason.LENGTH and not ending.figures.note:
        line += " · " + say(language, "length")
    return line


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


def _stored_reply(entry: Entry, ending: events.Finished | None, language: str) -> PageMessage:
    shown = _reply(entry.node.content, ending, language)
    if ending is None and entry.node.status == "interrupted":
        shown["content"].append(_part(_small("notice", say(language, "interrupted"))))
    return shown


def _versions(question: Entry | None, reply: Entry, language: str) -> list[dict[str, str]]:
    """Arrows to the other versions of a turn: its question's, or else its reply's."""
    chosen = question if question is not None and len(question.versions) > 1 else reply
    versions, place = chosen.versions, chosen.versions.index(chosen.node.id)
    if len(versions) == 1:
        return []
    earlier = _arrow(versions[place - 1] if place else None, "‹", say(language, "earlier"))
    later = versions[place + 1] if place + 1 < len(versions) else None
    arrows = f"{earlier} {place + 1}/{len(versions)} {_arrow(later, '›', say(language, 'later'))}"
    return [_part(f'<span class="versions">{arrows}</span>')]


def _arrow(node_id: int | None, sign: str, label: str) -> str:
    """A button that sidebars.js listens to; of what could tell it the id, Gradio leaves the class."""
    label = html.escape(label)
    target = "disabled" if node_id is None else f'class="go-{node_id}"'
    return f'<button {target} title="{label}">{sign}</button>'


def _mark_hidden(shown: list[PageMessage], first_visible: int, language: str) -> None:
    """Say behind the last message that no longer fits that the model does not see it."""
    if 0 < first_visible < len(shown) and shown[first_visible - 1]["role"] == "assistant":
        line = _part(_small("hidden-line", say(language, "hidden_above")))
        shown[first_visible - 1]["content"].append(line)


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


def notice(sentence: str) -> PageMessage:
    """A sentence in the place of a reply."""
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
