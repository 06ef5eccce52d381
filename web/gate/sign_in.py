"""Signing in: who has been wrong too often waits, and is told how long.

Owns: the limit in front of Gradio's /login. A try that has to wait is not checked at all, so that hashing
takes no core; of the others only a few wait for their check. Does not know the passwords (web.users).
"""

import math

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.gate.refusals import Refused, answer, replayed
from web.gate.tries import Tries

_MOST_CHECKED = 8  # at once: one at a time is hashed, the others wait


class SignIn:
    """Counts the tries to sign in, and refuses those that come too soon."""

    def __init__(self, app: ASGIApp, tries: Tries | None = None) -> None:
        self._app = app
        self._tries = tries or Tries()
        self._num_checked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        is_try = scope["type"] == "http" and scope["method"] == "POST"
        if not is_try or scope["path"].rstrip("/").rpartition("/")[2] != "login":
            await self._app(scope, receive, send)
            return
        try:
            body = await Request(scope, receive).body()
            name, address = await _name(scope, body, receive), _address(scope)
            self._check(name, address)
        except ClientDisconnect:
            return
        except Refused as refused:
            headers = {"retry-after": str(refused.values["seconds"])}
            await answer(refused, scope, **headers)(scope, receive, send)
            return
        self._tries.began(name, address)
        self._num_checked += 1
        try:
            await self._app(scope, replayed(body, receive), self._watched(name, address, send))
        finally:
            self._num_checked -= 1

    def _check(self, name: str, address: str) -> None:
        """Raise Refused if this try comes too soon."""
        if (wait_s := self._tries.wait_s(name, address)) > 0:
            raise Refused(429, "sign_in_wait", seconds=math.ceil(wait_s))
        if self._num_checked >= _MOST_CHECKED:
            raise Refused(429, "sign_in_busy", seconds=1)

    def _watched(self, name: str, address: str, send: Send) -> Send:
        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self._tries.was_right(name, address)
            await send(message)

        return send_watched


async def _name(scope: Scope, body: bytes, receive: Receive) -> str:
    """The name in the form, as Gradio reads it; empty if there is none."""
    kind = Headers(scope=scope).get("content-type", "")
    if not kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        return ""
    try:
        form = await Request(dict(scope), replayed(body, receive)).form()
    except Exception:  # noqa: BLE001  (Starlette's answer to a form that is none; Gradio's comes next)
        return ""
    return str(form.get("username", "")).strip()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
