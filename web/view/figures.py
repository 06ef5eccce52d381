"""What a reply cost and why it ended, in people's words: the line at its right end, and all of it in one.

Owns: what is worth saying. A saving is one only beside what had to be read again otherwise: the first turn
of a conversation saves nothing, nor does an answer that never came. What was read again says so. Does
not know where the line stands.
"""

import html

from engine import events
from engine.metrics import KVSource, TurnFigures
from web.languages import say, translated

_WORTH_TELLING_S = 0.05
_SOURCES = {KVSource.MEMORY: "source_memory", KVSource.DISK: "source_disk"}


def turn_line(ending: events.Finished, language: str, *, is_first: bool = False) -> str:
    """HTML of the line beside a reply; all the figures are in its title."""
    return _line(_told(ending, language), ending_line(ending, language, is_first=is_first))


def edited_line(ending: events.Finished | None, language: str, *, is_first: bool = False) -> str:
    """As `turn_line`, of a reply that a person has edited; figures are those of what the model said behind it."""
    told, title = [("edited", say(language, "edited"))], say(language, "edited_info")
    if ending is not None:
        told += _told(ending, language)
        title += f" {ending_line(ending, language, is_first=is_first)}"
    return _line(told, title)


def _told(ending: events.Finished, language: str) -> list[tuple[str, str]]:
    """What the line says of a reply's figures, each with its class."""
    figures = ending.figures
    told = [("first", _first_token(figures, language)), ("more", _read(figures, language))]
    told += [("rate", _rate(figures, language)), ("why", reason(ending, language) or "")]
    return [(name, text) for name, text in told if text]


def _line(told: list[tuple[str, str]], title: str) -> str:
    spans = [f'<span class="{name}">{html.escape(text)}</span>' for name, text in told]
    spans[1:] = [span.replace(">", "> · ", 1) for span in spans[1:]]
    return f'<span class="turn-line" title="{html.escape(title)}">{"".join(spans)}</span>'


def ending_line(ending: events.Finished, language: str, *, is_first: bool = False) -> str:
    """All the figures of a reply and why it ended, as text. is_first: nothing was said before it."""
    figures = ending.figures
    told = [
        _first_token(figures, language),
        _read(figures, language, with_source=True),
        _rate(figures, language),
        "" if is_first else _saved(figures, language),
        reason(ending, language),
        say(language, "read_again_info") if _is_read_again(figures) else "",
    ]
    return " · ".join(filter(None, told))


def notes(ending: events.Finished, language: str) -> list[str]:
    """What went wrong with a reply, and what is to be known of it, as the engine says it."""
    told = filter(None, (ending.error, ending.figures.note))
    return [translated(sentence, language) for sentence in told]


def reason(ending: events.Finished, language: str) -> str | None:
    """Why a reply is not as long as it could be."""
    if ending.reason == events.FinishReason.CANCELLED:
        return say(language, "stopped")
    if ending.reason == events.FinishReason.LENGTH and not ending.figures.note:
        return say(language, "length")
    return None


def _first_token(figures: TurnFigures, language: str) -> str:
    if figures.ttft_s is None:
        return ""
    return say(language, "first_token", seconds=f"{figures.ttft_s:.2f}")


def _read(figures: TurnFigures, language: str, *, with_source: bool = False) -> str:
    """What had its KV, and what was computed; nothing where that never began."""
    if not figures.prefilled_tokens and figures.ttft_s is None:
        return ""
    reused = say(language, "reused", tokens=f"{figures.reused_tokens:,}")
    if with_source and figures.reused_tokens and figures.source in _SOURCES:
        reused += f" ({say(language, _SOURCES[figures.source])})"
    key = "read_again" if _is_read_again(figures) else "newly_read"
    return f"{reused} · {say(language, key, tokens=f'{figures.prefilled_tokens:,}')}"


def _rate(figures: TurnFigures, language: str) -> str:
    return say(language, "rate", rate=f"{rate:.0f}") if (rate := figures.tokens_per_s) else ""


def _saved(figures: TurnFigures, language: str) -> str:
    if figures.ttft_s is None or (figures.saved_s or 0) < _WORTH_TELLING_S:
        return ""
    return say(language, "saved", seconds=f"{figures.saved_s:.1f}")


def _is_read_again(figures: TurnFigures) -> bool:
    return figures.source is KVSource.RECOMPUTED
