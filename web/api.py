"""HTTP beside the page: /healthz, and the guard in front of every route.

Owns: what is refused before Gradio sees it, and the security headers. Does not know Gradio's
components. Plain ASGI, so that streams pass through unbuffered.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.languages import say, spoken
from web.startup import Startup

_PORTS = {"http": 80, "https": 443}
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self' https://huggingface.co",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def routes(startup: Startup) -> list[Route]:
    """The routes that are ours."""

    async def healthz(_request: Request) -> JSONResponse:
        state = health(startup)
        return JSONResponse(state, status_code=200 if state["status"] == "ready" else 503)

    return [Route("/healthz", healthz)]


def health(startup: Startup) -> dict[str, Any]:
    """status: loading, ready or failed, with what is known beyond it.

    storage: "ok", or a sentence that says why conversations are not stored now.
    """
    state: dict[str, Any] = {"status": startup.phase, "model": startup.model_name}
    if startup.phase == "exporting":
        state["status"] = "loading"
        state["step"] = startup.step.what if startup.step else "export"
        state["percent"] = startup.step.percent if startup.step else 0
    if startup.failure is not None:
        state["error"] = startup.failure
    if startup.restarts:
        state["restarts"] = startup.restarts
    if startup.engine is not None:
        state["storage"] = startup.engine.storage.sentence or "ok"
    return state


class Guard:
    """Refuses proxying and requests from other sites' scripts; adds the security headers.

    Gradio streams any URL given as /file=http..., and its CORS answers every origin with
    credentials. Sec-Fetch-Site, which a page cannot forge, says where a request comes from, another
    port of this host being elsewhere too; browsers leave it out on plain http, where Origin must equal
    Host. Programs send neither and pass. A proxy in between may write another Host (web.forwarding):
    the refusal says what to set, and the page shows it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        refusal = _refusal(scope["method"], scope["path"], headers)
        app = PlainTextResponse(refusal, status_code=403) if refusal else self._app
        await app(scope, receive, send_guarded)


def _refusal(method: str, path: str, headers: Headers) -> str | None:
    if is_remote_file(path):
        return say(spoken(headers), "remote_file")
    if path.rstrip("/").endswith("/logout") and not is_visit(headers):
        return say(spoken(headers), "sign_out_click")
    if is_foreign(method, headers):
        origin, host = headers.get("origin", "?"), headers.get("host", "?")
        return say(spoken(headers), "foreign", origin=origin, host=host)
    return None


def is_remote_file(path: str) -> bool:
    """Whether `path` asks Gradio to fetch a URL; encodings and slashes do not hide it."""
    _, found, target = unquote(unquote(path)).partition("file=")
    return bool(found) and "://" in _single_slashes_restored(target)


def _single_slashes_restored(target: str) -> str:
    scheme, colon, _ = target.strip().lower().partition(":")
    return scheme + "://" if colon and scheme.isalpha() and len(scheme) > 1 else target


def is_visit(headers: Headers) -> bool:
    """Whether a person follows a link; an image of that address, in what a model says, does not."""
    return headers.get("sec-fetch-mode", "navigate") == "navigate"


def is_foreign(method: str, headers: Headers) -> bool:
    """Whether another site sent this request; following a link from there to here is not that."""
    if site := headers.get("sec-fetch-site"):
        follows_link = method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate"
        return site not in {"same-origin", "none"} and not follows_link
    origin = headers.get("origin")
    return origin is not None and not is_of(origin, headers.get("host", ""))


def is_of(origin: str, host: str) -> bool:
    """Whether `origin` is this host, with its port written or left out where the protocol knows it."""
    place = _place(origin)
    return place is not None and place == _place(f"{origin.partition(':')[0]}://{host}")


def _place(url: str) -> tuple[str | None, int] | None:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):  # as "null", or "http://["
        return None
