"""The list of a person's conversations, beside the chat, as HTML.

Owns: the headings by pins and days, the dots of what is being written or new, and the menu of a row. Does
not know Gradio, or what its buttons do.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from engine.conversations import ConversationRow
from web.files import readable_title
from web.languages import say
from web.view.days import day_of

_FORMS = {
    "markdown": ("export_markdown", "export_markdown_info"),
    "json": ("export_json", "export_json_info"),
    "portable": ("export_portable", "export_portable_info"),
}


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked in a list, by the ids of conversations. deleted: one that can be brought back.

    current: the open one. answering: whose answer is being written. unseen: whose answer has ended
    while nobody saw it.
    """

    current: str = ""
    deleted: str | None = None
    answering: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()


def conversation_list(
    rows: Sequence[ConversationRow], marks: Marks, now: datetime, language: str, *, key: str = ""
) -> str:
    """HTML of the list, for a reader whose clock says `now`; rows: pinned ones first, then the latest.

    key: the owner's `control_key`, which the page knows from here.
    """
    undo = ""
    if marks.deleted is not None:
        label, text = html.escape(say(language, "undo")), html.escape(say(language, "deleted"))
        button = f'<button data-act="undelete">{label}</button>'
        name = html.escape(marks.deleted)
        undo = f'<p class="undo" role="status" data-id="{name}">{text} {button}</p>'
    shown = "".join(
        _section(section, group, marks, language)
        for section, group in groupby(rows, lambda row: _section_of(row, now))
    )
    if not rows:
        shown = f'<p class="none">{html.escape(say(language, "no_conversations"))}</p>'
    return f'{undo}<div class="shelf" data-key="{key}">{shown}{_menu(language)}</div>'


def _section_of(row: ConversationRow, now: datetime) -> str:
    return "pinned" if row.pinned else day_of(row.updated_at, now)


def _section(section: str, rows: Iterable[ConversationRow], marks: Marks, language: str) -> str:
    heading = html.escape(say(language, section))
    items = "".join(_item(row, marks, language) for row in rows)
    return (
        f'<h2 id="shelf-{section}">{heading}</h2><ul aria-labelledby="shelf-{section}">{items}</ul>'
    )


def _item(row: ConversationRow, marks: Marks, language: str) -> str:
    title = html.escape(readable_title(row.title) or say(language, "new_chat"))
    here = ' aria-current="true"' if row.id == marks.current else ""
    pinned = " data-pinned" if row.pinned else ""
    more = html.escape(say(language, "more"))
    return (
        f'<li data-id="{html.escape(row.id)}"{here}{pinned}>'
        f'<button class="open" data-act="open"><span class="title">{title}</span></button>'
        f"{_dot(row.id, marks, language)}"
        f'<button class="more" data-act="menu" aria-haspopup="menu" title="{more}" aria-label="{more}">'
        "</button></li>"
    )


def _dot(name: str, marks: Marks, language: str) -> str:
    if name in marks.answering:
        kind, label = "answering", say(language, "answering")
    elif name in marks.unseen:
        kind, label = "unseen", say(language, "unseen")
    else:
        return ""
    label = html.escape(label)
    return f'<span class="dot {kind}" role="img" title="{label}" aria-label="{label}"></span>'


def _menu(language: str) -> str:
    """What menu.js shows beside a row, of which only Pin or Unpin is for it."""
    forms = "".join(_form(form, *texts, language) for form, texts in _FORMS.items())
    label = html.escape(say(language, "export"))
    entries = "".join(_entry(act, act, language) for act in ("rename", "pin", "unpin"))
    return (
        f'<template><div class="row-menu" role="menu" aria-label="{html.escape(say(language, "more"))}">'
        f'{entries}<div role="group" aria-label="{label}"><p aria-hidden="true">{label}</p>{forms}</div>'
        f"{_entry('delete', 'delete', language)}</div></template>"
    )


def _form(form: str, text: str, info: str, language: str) -> str:
    title = html.escape(say(language, info))
    return _entry(text, "export", language, f' data-form="{form}" title="{title}"')


def _entry(text: str, act: str, language: str, more: str = "") -> str:
    label = html.escape(say(language, text))
    return f'<button role="menuitem" tabindex="-1" data-act="{act}"{more}>{label}</button>'
