"""Server-sent events: chunks as they come, something while none does, and a refusal in their place.

Owns: the response's bytes and headers. Only `data:` lines with JSON are sent (and `event:` lines where a surface
wants them): comments and ids trip clients up. Does not know what the chunks say.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Scope, Send

from api.errors import ApiError
from api.listening import while_listening

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would gather
}
DONE = b"data: [DONE]\n\n"


def event(content: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event's bytes."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    begin = b"" if name is None else f"event: {name}\n".encode()
    return begin + b"data: " + data.encode("utf-8", "replace") + b"\n\n"


def refusal(error: ApiError) -> bytes:
    """What ends a stream in OpenAI's words when something goes wrong in its midst."""
    return event(error.content)


class EventStream:
    """A response that sends what comes; when the client goes, what it comes from is closed."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope
        await while_listening(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        headers = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
        async with aclosing(self._chunks) as chunks:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
