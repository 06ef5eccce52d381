"""Whose Gradio's ids are: pages (session_hash), events, uploads and their files.

Gradio takes whoever knows an id for its owner, signed in or not. Here an id belongs to the visitor who used
it first: a user, or else a browser, by a cookie that no script can read; a program without either shares
with its like. To everybody else it is not there.
"""

import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.gate.refusals import BODY, Refused, answer, api_path

COOKIE = "warmchat-visitor"
_MOST_IDS = 100_000
_MOST_ANSWER_BYTES = 2**20  # of an answer that names ids

Visitor = str | None


class Claims:
    """Who used which id first; of very many the oldest is forgotten. For one event loop."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, set[Visitor]] = OrderedDict()

    def may_use(self, name: str, visitor: Visitor) -> bool:
        """Whether `name` is the visitor's; it is from now on if it was nobody's."""
        owners = self._owners.setdefault(name, {visitor})
        self._owners.move_to_end(name)
        if len(self._owners) > _MOST_IDS:
            self._owners.popitem(last=False)
        return visitor in owners

    def owns(self, name: str, visitor: Visitor) -> bool:
        """Whether `name` is the visitor's already."""
        return visitor in self._owners.get(name, ())

    def share(self, name: str, visitor: Visitor) -> None:
        """`name` is this visitor's, too: two upload the same file."""
        self._owners.setdefault(name, set()).add(visitor)


class Owned:
    """Lets everybody use their own ids. Stands behind `Calls`, which has read the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._claims = Claims()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visitor, path = _visitor(scope), api_path(scope)
        names = _names(scope, path) if path is not None else ()
        made = None if path is None else _made_before(scope["method"], path)
        is_theirs = made is None or self._claims.owns(made, visitor)
        if not is_theirs or not all(self._claims.may_use(name, visitor) for name in names):
            await answer(Refused(404, "not_yours"), scope)(scope, receive, send)
        elif path is None:
            await self._app(scope, receive, _Marking(scope, send).send)
        elif scope["method"] == "POST" and path.startswith(("call/", "queue/join", "upload")):
            await self._app(scope, receive, self._claiming(visitor, send))
        else:
            await self._app(scope, receive, send)

    def _claiming(self, visitor: Visitor, send: Send) -> Send:
        """Sends on, and notes whose the ids in the answer are."""
        body = b""

        async def send_noted(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.body" and len(body) < _MOST_ANSWER_BYTES:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    for name in _made(body):
                        self._claims.share(name, visitor)
            await send(message)

        return send_noted


class _Marking:
    """Gives a browser that gets a page its cookie, unless it has one."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._has_one = COOKIE in _cookies(scope)
        self._secure = "; Secure" if scope.get("scheme") == "https" else ""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._has_one:
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith("text/html"):
                token = secrets.token_urlsafe(24)
                cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{self._secure}"
                headers.append("set-cookie", cookie)
        await self._send(message)


def _visitor(scope: Scope) -> Visitor:
    """The user who is signed in, as Gradio knows them, or else the browser."""
    cookies, app = _cookies(scope), scope.get("app")
    name = getattr(app, "cookie_id", "")
    token = cookies.get(f"access-token-{name}") or cookies.get(f"access-token-unsecure-{name}")
    user = getattr(app, "tokens", {}).get(token)
    if user is not None:
        return f"user:{user}"
    browser = cookies.get(COOKIE)
    return f"browser:{browser}" if browser else None


def _cookies(scope: Scope) -> dict[str, str]:
    try:
        parsed = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in parsed.items()}


def _names(scope: Scope, path: str) -> Iterator[str]:
    """The ids that a request names: in its path, its query, and its body."""
    route, _, rest = path.partition("/")
    if route in {"heartbeat", "stream"} and rest:
        yield rest.partition("/")[0]
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    yield from (value for key, value in query if key in {"session_hash", "upload_id"})
    body = scope.get(BODY)
    named = body if isinstance(body, dict) else {}
    yield from (v for k in ("session_hash", "event_id") if isinstance(v := named.get(k), str))


def _made_before(method: str, path: str) -> str | None:
    """The event or the file, by its one name, that a path asks for; None if it asks for none."""
    if method == "GET" and path.startswith("call/"):
        return path.rpartition("/")[2]
    found = re.fullmatch(r"file[=/](.*)", path, re.DOTALL)
    return _one_name(found[1]) if found else None


def _one_name(path: str) -> str:
    return "/" + os.path.abspath(path).lstrip("/")  # noqa: PTH100  (resolve fails on some)


def _made(body: bytes) -> Iterator[str]:
    """The ids that an answer gives: of an event, or the paths of files."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        return
    if isinstance(found, dict) and isinstance(found.get("event_id"), str):
        yield found["event_id"]
    elif isinstance(found, list):
        yield from (_one_name(path) for path in found if isinstance(path, str))
