"""Files that go with a message: how the model sees them, and how the page shows them.

Owns: the form in which a file's text stands in front of what was typed, and its two inverses: from
the engine's message, and from the page's. The count of characters in a file's first line makes the
form exact, whatever the file says. Pure; does not know how a file is read (web.files.documents).
"""

import html
import re
from dataclasses import dataclass, field

from web.files.documents import Unsure
from web.writing import read_typed, typed

NAME_LENGTH = 80

_FIRST_LINE = re.compile(r'<file name="([^"\n]*)" bytes="(\d+)" characters="(\d+)">\n')
_END = "\n</file>\n\n"
_CHIPS, _CHIPS_END = '<div class="attachments">', "</div>\n\n"
_CHIP_TEXT = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)
# What Markdown, KaTeX or Gradio would take for its own; inside <pre> too.
_SPECIAL = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\n$\\`*_[]{}%|~"}
_UNITS = ((2**20, "MB"), (2**10, "KB"))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file's text. name: safe to show once it is escaped; num_bytes: of the file itself.

    unsure: its bytes, as long as it waits and their charset is not clear.
    """

    name: str
    text: str
    num_bytes: int
    unsure: Unsure | None = field(default=None, compare=False, repr=False)

    @property
    def block(self) -> str:
        """What the model sees of it."""
        first_line = (
            f'<file name="{self.name}" bytes="{self.num_bytes}" characters="{len(self.text)}">'
        )
        return f"{first_line}\n{self.text}{_END}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says: typed words, and files. Its str() is what the text box shows of it."""

    typed: str
    attachments: tuple[Attachment, ...] = ()

    def __str__(self) -> str:
        return self.typed

    @property
    def message(self) -> str:
        """The message as the engine gets it."""
        return "".join(a.block for a in self.attachments) + self.typed

    def shown(self, tools: str = "") -> str:
        """The message as the page shows it: chips, if there are any, the words as typed, HTML of tools.

        In one piece: Gradio's Edit makes several events of several.
        """
        if not self.attachments:
            return typed(self.typed, tools)
        chips = "".join(_chip(a) for a in self.attachments)
        return f"{_CHIPS}{chips}{_CHIPS_END}{typed(self.typed, tools)}"


def read_message(message: str) -> Said:
    """The engine's message, taken apart."""
    attachments = []
    while (first := _FIRST_LINE.match(message)) is not None:
        end = first.end() + int(first[3])
        if message[end : end + len(_END)] != _END:
            break
        attachments.append(Attachment(first[1], message[first.end() : end], int(first[2])))
        message = message[end + len(_END) :]
    return Said(message, tuple(attachments))


def read_page(text: str) -> Said:
    """The page's message, taken apart."""
    chips, end, words = text.partition(_CHIPS_END)
    if not text.startswith(_CHIPS) or not end:
        return Said(read_typed(text))
    blocks = "".join(html.unescape(block) for block in _CHIP_TEXT.findall(chips))
    return Said(read_typed(words), read_message(blocks).attachments)


def safe_name(name: str) -> str:
    """A file's name without its folder and without what could end the attribute or the line."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c if c.isprintable() and c not in '"<>' else " " for c in last)
    kept = " ".join(kept.split()) or "file"
    if len(kept) <= NAME_LENGTH:
        return kept
    stem, dot, suffix = kept.rpartition(".")
    tail = f"…{dot}{suffix}" if stem and len(suffix) < 10 else "…"
    return kept[: NAME_LENGTH - len(tail)] + tail


def readable_title(title: str) -> str:
    """A conversation's title, made of its first words, with a file's name for its first line."""
    found = re.match(r'<file name="([^"\n]*)', title)
    return found[1] if found else title


def size(num_bytes: int) -> str:
    """A size for people."""
    for unit, name in _UNITS:
        if num_bytes >= unit:
            return f"{num_bytes / unit:.{0 if num_bytes >= 10 * unit else 1}f} {name}"
    return f"{num_bytes} B"


def _chip(attachment: Attachment) -> str:
    """One line of HTML: an empty line would end it for Markdown."""
    name, text = attachment.name.translate(_SPECIAL), attachment.block.translate(_SPECIAL)
    summary = f"<summary>{name} <small>{size(attachment.num_bytes)}</small></summary>"
    return f"<details>{summary}<pre>{text}</pre></details>"
