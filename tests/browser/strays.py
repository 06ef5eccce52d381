"""What the page tells, read in its accessibility tree, and which of it is of another language.

Whatever a screen reader would say counts, names of buttons as well as what is seen. Beside the page's language
there is only what has no other word in any, and what the test itself has typed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Page

from tests.browser import states
from tests.browser.page import FRAME
from web.languages import NAMES
from web.languages.texts import ENGLISH

# Brand, model, units, formats, keys and terms of the field, which no Chinese page translates.
INTERNATIONAL = {
    "WarmChat", "OpenVINO", "scripted-model", "CPU", "KV", "B", "KiB", "MiB",
    "PDF", "Word", "Markdown", "JSON", "Enter", "Shift", "Ctrl", "Esc", "K", "O", "Top-p", "Top-k", "Min-p",
}  # fmt: skip
LATIN = re.compile(r"[A-Za-z]+(?:-[A-Za-z0-9]+)*")
CHINESE = re.compile(r"[\u3400-\u9fff]+")
CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider", "spinbutton",
    "tab", "menuitem", "option", "DisclosureTriangle", "menu", "listbox", "dialog", "log",
}  # fmt: skip


def nodes(page: Page) -> list[dict[str, Any]]:
    """The accessibility tree, as it is told of what is drawn by now."""
    page.evaluate(f"{FRAME}.then(() => {FRAME})")
    session = page.context.new_cdp_session(page)
    found = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [node for node in found if not node["ignored"]]


def value(node: dict[str, Any], part: str) -> str:
    return str(node.get(part, {}).get("value", "")).strip()


def told(tree: list[dict[str, Any]]) -> set[str]:
    """Every name, description and value, text that is seen among them."""
    return {value(node, part) for node in tree for part in ("name", "description", "value")}


def own(texts: set[str]) -> Iterator[str]:
    """The page's own words among them."""
    known = "\n".join((*states.SAID, *NAMES.values()))
    for text in texts:
        if text not in known:
            yield text.replace(states.NOTE[0], "")


def latin_in(text: str) -> list[str]:
    return [word for word in LATIN.findall(text) if word not in INTERNATIONAL]


def only_in(text: str, charset: str, other: str) -> list[str]:
    """Characters that one charset has and the other one has not."""
    signs = "".join(CHINESE.findall(text))
    return [sign for sign in signs if _has(charset, sign) and not _has(other, sign)]


def _has(charset: str, sign: str) -> bool:
    return bool(sign.encode(charset, "ignore"))


STRAYS: dict[str, Callable[[str], list[str]]] = {
    ENGLISH: CHINESE.findall,
    "zh-CN": lambda text: latin_in(text) + only_in(text, "big5", "gb2312"),
    "zh-TW": lambda text: latin_in(text) + only_in(text, "gb2312", "big5"),
}


def strays(page: Page, language: str) -> set[str]:
    """What the page tells that has words of another language, each with these; and nameless controls."""
    tree = nodes(page)
    roles = {value(node, "role") for node in tree if not value(node, "name")}
    nameless = {f"a {role} without a name" for role in roles & CONTROLS}
    found = {text: STRAYS[language](text) for text in own(told(tree))}
    return nameless | {f"{text!r}: {', '.join(words)}" for text, words in found.items() if words}
