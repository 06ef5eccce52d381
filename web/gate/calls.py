"""Calls of endpoints and events, looked at before Gradio takes them.

Gradio answers a call with too few values, or of what there is not, with an empty error or 500 and some forty
lines in the log. Here it gets a sentence. Errors that a function has told, which Gradio sends as 500 where a
call does not go through its queue, are 422: they are about the request.
"""

import json
import logging
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.gate.endpoints import (
    MAX_DEPTH,
    Functions,
    called,
    check_depth,
    check_event,
    check_named,
    check_values,
)
from web.gate.refusals import BODY, Refused, answer, api_path, replayed

log = logging.getLogger(__name__)

_DIRECT = ("run/", "api/")
_OURS = ("/healthz", "/download")


class Calls:
    """Passes on what the endpoints and events can be given. functions: those of the Blocks."""

    def __init__(self, app: ASGIApp, functions: Functions) -> None:
        self._app = app
        self._functions = functions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in _OURS:
            await self._app(scope, receive, send)
            return
        path = api_path(scope)
        if path is None:
            await self._pass_on(scope["path"], scope, receive, send)
            return
        try:
            _check_path(path)
            if scope["method"] == "POST" and path != "upload":
                body = await Request(scope, receive).body()
                scope[BODY] = found = _read(body, is_json=_is_json(scope))
                self._check(path, found)
                receive = replayed(body, receive)
        except Refused as refused:
            log.info("%s was refused: %s", path[:80], refused.key)
            await answer(refused, scope)(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            told = _Told(send).send if path.startswith(_DIRECT) else send
            await self._pass_on(path, scope, receive, told)

    async def _pass_on(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """What Gradio's own routes stumble over is a request that cannot be; our functions answer for theirs."""
        has_begun = False

        async def begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, begin)
        except Exception as error:
            if has_begun and not isinstance(error.__cause__, HTTPException):
                raise
            log.warning("%s %s: %s", scope["method"], path[:80], _in_one_line(error))
            if has_begun:  # a stream of what is not there any more, which has said so
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await answer(Refused(400, "call_impossible"), scope)(scope, receive, send)

    def _check(self, path: str, body: Any) -> None:
        check_depth(body)
        route, _, name = path.rpartition("/")
        if route == "call/v2":
            check_named(called(self._functions, name, None), body)
        elif route in {"call", "run", "api"} or path == "queue/join":
            given = body if isinstance(body, dict) else {}
            index = None if route == "call" else given.get("fn_index")
            function = called(self._functions, name, index)
            check_values(function, given.get("data"), is_program=route == "call")
            check_event(function, given.get("event_data"))


class _Told:
    """Sends an error that a function has told as 422."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            self._start = message
            return
        if (start := self._start) is not None:
            self._start = None
            is_told = b'"error":null' not in message.get("body", b"")
            await self._send({**start, "status": 422 if is_told else 500})
        await self._send(message)


def _check_path(path: str) -> None:
    """Gradio makes an address of the path again, which takes no control characters. Raises Refused."""
    if any(character < " " for character in path):
        raise Refused(400, "call_impossible")


def _is_json(scope: Scope) -> bool:
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0]
    return kind.strip().lower().endswith("json")


def _read(body: bytes, *, is_json: bool) -> Any:
    """The body's JSON; None if it is none and does not say so. Raises Refused."""
    try:
        return json.loads(body)
    except RecursionError:
        raise Refused(422, "call_deep", limit=MAX_DEPTH) from None
    except ValueError:
        if not is_json:
            return None
        raise Refused(400, "call_json") from None


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
