"""The language of a page, in the page itself.

Gradio fills labels in by `navigator.language` before any script of an app runs, so the server tells
the browser: labels, Gradio's own words and what the server says are always of one language. Plain
ASGI, so that streams pass through unbuffered.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.languages.spoken import spoken

_HEAD = b"<head>"


class Tongue:
    """Writes the request's language into the page, in front of Gradio's scripts, and `script` behind it."""

    def __init__(self, app: ASGIApp, script: str = "") -> None:
        self._app = app
        self._more = script.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or "/gradio_api/" in scope["path"]:
            await self._app(scope, receive, send)
            return
        script = _script(spoken(Headers(scope=scope))) + self._more
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
