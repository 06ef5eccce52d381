"""How large the body of a request may be, looked at while it comes in.

Owns: the limit of each route. A body that is too large is not kept: what comes of it beyond the limit is
dropped, as much again at most, so that whoever sends it can read the answer. Files of an upload that
breaks off are deleted: they are when Gradio's parser is told so by the one exception that it knows.
"""

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.files import size
from web.gate.refusals import Refused, answer, api_path

_FRAMING_BYTES = 2**16  # what a form adds to a file
_SMALL_BYTES = 2**16  # of all that are no calls, as a sign-in


class Bodies:
    """Refuses bodies that are too large. max_upload, max_body: bytes of a file, and of a call."""

    def __init__(self, app: ASGIApp, max_upload: int, max_body: int) -> None:
        self._app = app
        self._max_upload = max_upload
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self.limit(scope), _length(scope), receive)
        response = _Response(send)
        try:
            if not body.is_too_large:
                await self._app(scope, body.receive, response.send_unless(body))
        except MultiPartException:
            if not body.is_over:
                raise
        if body.is_too_large and not response.has_begun:
            await body.drop_rest()
            refused = Refused(413, "body_too_large", limit=size(body.limit))
            await answer(refused, scope, connection="close")(scope, receive, send)

    def limit(self, scope: Scope) -> int:
        """Most bytes that the request may bring."""
        path = api_path(scope)
        if path == "upload":
            return self._max_upload + _FRAMING_BYTES
        return self._max_body if path is not None else min(_SMALL_BYTES, self._max_body)


class _Body:
    """A body as it comes in."""

    def __init__(self, limit: int, length: int, receive: Receive) -> None:
        self.limit = limit
        self.is_too_large = length > limit
        self.is_over = False  # nothing more is passed on
        self._receive = receive
        self._num_bytes = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """The next part. Raises MultiPartException when the body is too large or breaks off."""
        message = await self._receive()
        self._count(message)
        is_broken = message["type"] == "http.disconnect" and not self._is_whole
        self.is_too_large = self._num_bytes > self.limit
        if self.is_too_large or is_broken:
            self.is_over = True
            raise MultiPartException("The body is too large, or broke off.")
        return message

    async def drop_rest(self) -> None:
        """Read on, as much again at most."""
        while not self._is_whole and self._num_bytes <= 2 * self.limit:
            message = await self._receive()
            self._count(message)
            if message["type"] == "http.disconnect":
                return

    def _count(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._num_bytes += len(message.get("body", b""))
            self._is_whole = not message.get("more_body", False)


class _Response:
    """What is answered, unless the body is over: then it is for `Bodies` to answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    def send_unless(self, body: _Body) -> Send:
        async def send(message: Message) -> None:
            if self.has_begun or not body.is_over:
                self.has_begun = True
                await self._send(message)

        return send


def _length(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isdecimal() else 0
