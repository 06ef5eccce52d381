"""How the files look that wait for their message: the button, a chip for each, and what was refused.

Owns: their HTML. A file whose charset is unsure has a list of charsets in its chip; their names are the same in
every language. Pure.
"""

import html
from collections.abc import Sequence

from web.files.attachments import Attachment, size
from web.files.documents import Unsure
from web.languages import say

_CLIP = (
    '<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" '
    'stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m21.4 '
    '11-9.2 9.2a6 6 0 0 1-8.5-8.5l9.2-9.2a4 4 0 0 1 5.7 5.7l-9.2 9.2a2 2 0 0 1-2.8-2.8l8.5-8.5"/></svg>'
)
# What people know them by, with the writing that they are for in that writing.
_CHARSETS = {
    "utf-8": "UTF-8",
    "gb18030": "简体 GBK",
    "cp950": "繁體 Big5",
    "big5hkscs": "繁體 Big5-HKSCS",
    "cp932": "日本語 Shift-JIS",
    "euc_jp": "日本語 EUC-JP",
    "cp949": "한국어 EUC-KR",
    "cp1252": "Latin Windows-1252",
    "cp1250": "Latin Windows-1250",
    "cp1254": "Türkçe Windows-1254",
    "cp1251": "Кириллица Windows-1251",
    "koi8_r": "Кириллица KOI8-R",
    "cp1253": "Ελληνικά Windows-1253",
    "cp1255": "עברית Windows-1255",
    "cp1256": "العربية Windows-1256",
    "cp874": "ไทย Windows-874",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
}


def waiting(
    attachments: Sequence[Attachment], refusals: Sequence[str], data: str, language: str
) -> str:
    """HTML of the button and the chips. data: attributes by which the page knows this answer."""
    label = html.escape(say(language, "attach"))
    chips = "".join(_chip(i, a, language) for i, a in enumerate(attachments))
    refused = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in refusals)
    return (
        f'<div class="waiting" {data}>'
        f'<button data-act="add" title="{label}" aria-label="{label}">{_CLIP}</button><ul>{chips}</ul>'
        f'<div class="refusals" role="alert">{refused}</div></div>'
    )


def _chip(index: int, attachment: Attachment, language: str) -> str:
    remove = html.escape(say(language, "detach", name=attachment.name))
    charsets = "" if attachment.unsure is None else _charsets(index, attachment, language)
    return (
        f"<li><span>{html.escape(attachment.name)}</span>{charsets}"
        f"<small>{size(attachment.num_bytes)}</small>"
        f'<button data-act="remove" data-index="{index}" title="{remove}" aria-label="{remove}">'
        "✕</button></li>"
    )


def _charsets(index: int, attachment: Attachment, language: str) -> str:
    """The list of charsets; what the text begins with shows whether it is the right one."""
    unsure = attachment.unsure
    assert unsure is not None
    label = html.escape(say(language, "charset", name=attachment.name))
    beginning = html.escape(_telling(attachment.text))
    options = "".join(_option(charset, unsure) for charset in unsure.choices)
    return (
        f'<q>{beginning}</q><select data-act="charset" data-index="{index}" title="{label}" '
        f'aria-label="{label}">{options}</select>'
    )


def _option(charset: str, unsure: Unsure) -> str:
    chosen = " selected" if charset == unsure.charset else ""
    return f'<option value="{charset}"{chosen}>{_CHARSETS[charset]}</option>'


def _telling(text: str) -> str:
    """The first words that are not ASCII: by them people see whether they are read right."""
    line = next((line for line in text.splitlines() if not line.isascii()), text)
    first = next((i for i, c in enumerate(line) if not c.isascii()), 0)
    return line[max(0, first - 4) :][:12]
