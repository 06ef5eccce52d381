"""The live panel: what the kept KV takes, and what it saves.

Owns: how the engine's figures look. Others' conversations are counted, never named. Does not know
Gradio, or where the figures come from.
"""

import html
from collections.abc import Mapping, Sequence

from engine import EngineStats, SessionId, TurnFigures
from web.languages import say

_WIDTH, _HEIGHT, _TURNS = 260, 90, 12


def live_panel(
    stats: EngineStats,
    titles: Mapping[SessionId, str],
    turns: Sequence[TurnFigures],
    tokens_per_s: float,
    language: str,
) -> str:
    """HTML of the panel. titles: of the visitor's own conversations. turns: the last ones."""
    return (
        f'<section class="panel">{_memory(stats, titles, language)}'
        f"{_figures(stats, tokens_per_s, language)}{_plot(turns, language)}</section>"
    )


def size(num_bytes: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.0f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} GiB"


def _memory(stats: EngineStats, titles: Mapping[SessionId, str], language: str) -> str:
    """The pool as a bar: the visitor's conversations by name, the rest together, what is free."""
    own = [(titles[i], n) for i, n in stats.blocks_by_session.items() if i in titles and n]
    own.sort(key=lambda item: -item[1])
    others = max(stats.kv_blocks_used - sum(blocks for _, blocks in own), 0)
    bars = [_bar("own", blocks, stats, title) for title, blocks in own]
    bars.append(_bar("others", others, stats, say(language, "panel_others")))
    used = stats.kv_blocks_used * stats.kv_block_bytes
    budget = stats.kv_blocks_total * stats.kv_block_bytes
    rows = [
        _row(title, size(blocks * stats.kv_block_bytes), "own-row") for title, blocks in own[:8]
    ]
    rows.append(_row(say(language, "panel_others"), size(others * stats.kv_block_bytes)))
    heading = _heading(say(language, "panel_memory"), f"{size(used)} / {size(budget)}")
    return f'{heading}<div class="bar">{"".join(bars)}</div><dl>{"".join(rows)}</dl>'


def _figures(stats: EngineStats, tokens_per_s: float, language: str) -> str:
    shared = size(stats.kv_blocks_shared * stats.kv_block_bytes)
    values = (
        ("panel_shared", shared),
        ("panel_disk", size(stats.disk_bytes)),
        ("panel_moves", f"{stats.spilled} / {stats.restored}"),
        ("panel_running", f"{stats.running} / {stats.waiting}"),
        ("panel_rate", f"{tokens_per_s:.0f}"),
    )
    rows = "".join(_row(say(language, key), value) for key, value in values)
    return f"{_heading(say(language, 'panel_engine'))}<dl>{rows}</dl>"


def _plot(turns: Sequence[TurnFigures], language: str) -> str:
    """TTFT of the last turns beside what it would have been, had the history been read again."""
    told = [(t.ttft_s, t.ttft_s + (t.saved_s or 0)) for t in turns if t.ttft_s is not None]
    heading = _heading(say(language, "panel_ttft"))
    if not told:
        return f'{heading}<p class="none">{html.escape(say(language, "panel_no_turns"))}</p>'
    told = told[-_TURNS:]
    longest = max(again for _, again in told)
    step = _WIDTH / _TURNS
    bars = "".join(
        _column(n * step, again / longest, "again", _seconds(again, language))
        + _column(n * step + step * 0.42, kept / longest, "kept", _seconds(kept, language))
        for n, (kept, again) in enumerate(told)
    )
    label = html.escape(say(language, "panel_ttft"))
    legend = "".join(
        f'<span class="{name}">{html.escape(say(language, key))}</span>'
        for name, key in (("kept", "panel_kept"), ("again", "panel_again"))
    )
    return (
        f'{heading}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{bars}</svg>'
        f'<p class="legend">{legend}<span class="scale">{_seconds(longest, language)}</span></p>'
    )


def _column(x: float, share: float, name: str, seconds: str) -> str:
    height, width = max(share * _HEIGHT, 1), _WIDTH / _TURNS * 0.38
    return (
        f'<rect class="{name}" x="{x:.1f}" y="{_HEIGHT - height:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="1.5"><title>{seconds}</title></rect>'
    )


def _seconds(value: float, language: str) -> str:
    return html.escape(say(language, "seconds", value=f"{value:.2f}"))


def _bar(name: str, blocks: int, stats: EngineStats, title: str) -> str:
    share = 100 * blocks / max(stats.kv_blocks_total, 1)
    return f'<i class="{name}" style="width:{share:.2f}%" title="{html.escape(title)}"></i>'


def _row(name: str, value: str, css_class: str = "") -> str:
    return (
        f'<div class="{css_class}"><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>'
    )


def _heading(text: str, value: str = "") -> str:
    return f"<h2>{html.escape(text)}<span>{html.escape(value)}</span></h2>"
