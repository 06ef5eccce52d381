"""Which language a request is answered in, and how the page's own labels follow.

Owns: the cookie that remembers a choice made by hand, which goes before the browser's languages. Gradio
fills labels in by `navigator.language` before any script of an app runs, so the server tells the browser
in the page itself: labels, Gradio's own words and what the server says are always of one language.
"""

import html
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.texts import LANGUAGES, language_of, say

COOKIE = "warmchat_language"
NAMES = {"en": "English", "zh-CN": "简体中文", "zh-TW": "繁體中文"}
SCRIPT = Path(__file__).with_name("language.js")

_HEAD = b"<head>"


class RequestHeaders(Protocol):
    """The headers of a request, by their names in small letters."""

    def get(self, key: str, /) -> Any:
        """The header's value, or None."""


def chosen(headers: RequestHeaders) -> str | None:
    """The language that was chosen by hand in this browser, if one was."""
    try:
        morsel = SimpleCookie(headers.get("cookie") or "").get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value in LANGUAGES else None


def spoken(headers: RequestHeaders) -> str:
    """The language of whatever is said to this request."""
    return chosen(headers) or language_of(headers.get("accept-language"))


def choice(headers: RequestHeaders) -> str:
    """HTML of the control that changes the language."""
    language, by_hand = spoken(headers), chosen(headers)
    names = {"": say(language, "language_auto"), **NAMES}
    options = "".join(
        f'<option value="{tag}"{" selected" if tag == (by_hand or "") else ""}>'
        f"{html.escape(name)}</option>"
        for tag, name in names.items()
    )
    label = html.escape(say(language, "language"))
    return (
        f'<label title="{label}">'
        f'<select aria-label="{label}" data-cookie="{COOKIE}">{options}</select></label>'
    )


class Tongue:
    """Writes the request's language into the page, in front of Gradio's scripts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or "/gradio_api/" in scope["path"]:
            await self._app(scope, receive, send)
            return
        script = _script(spoken(Headers(scope=scope)))
        start: Message | None = None  # of a page whose <head> has not come yet

        async def send_spoken(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is not None:
                await send(_lengthened(start, script if _HEAD in message["body"] else b""))
                start = None
                await send({**message, "body": message["body"].replace(_HEAD, _HEAD + script, 1)})
            else:
                await send(message)

        await self._app(scope, receive, send_spoken)


def _is_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    is_plain = "content-encoding" not in headers
    return is_plain and headers.get("content-type", "").startswith("text/html")


def _lengthened(start: Message, script: bytes) -> Message:
    headers = MutableHeaders(scope=start)
    if "content-length" in headers:
        headers["content-length"] = str(int(headers["content-length"]) + len(script))
    return start


def _script(language: str) -> bytes:
    return (
        f"<script>document.documentElement.lang = '{language}';"
        f"Object.defineProperty(navigator, 'language', {{get: () => '{language}'}});"
        f"Object.defineProperty(navigator, 'languages', {{get: () => ['{language}']}});</script>"
    ).encode()
