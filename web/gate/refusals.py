"""Why a request is not passed on, and the answer that says so."""

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope

from web.languages import say, spoken

API = "/gradio_api/"
BODY = "warmchat.body"  # of a request's scope: its JSON, read once


class Refused(Exception):
    """A request that cannot be. status: of HTTP; key: of web.languages; values: what the sentence names."""

    def __init__(self, status: int, key: str, **values: Any) -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        self.values = values


def answer(refused: Refused, scope: Scope, **headers: str) -> JSONResponse:
    """The sentence in the language of the request, where Gradio's clients look for it."""
    sentence = say(spoken(Headers(scope=scope)), refused.key, **refused.values)
    sentence = sentence.encode("utf-8", "replace").decode()  # half a character cannot be sent
    content = {"detail": sentence, "error": sentence}
    return JSONResponse(content, status_code=refused.status, headers=headers or None)


def api_path(scope: Scope) -> str | None:
    """What stands behind /gradio_api/ in the request's path, without a last slash; None elsewhere."""
    _, found, rest = str(scope["path"]).partition(API)
    return rest.rstrip("/") if found else None


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, and then what comes behind it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
