"""POST /v1/completions, as OpenAI has it: a text is gone on with as it stands, without a template."""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import listening, streams
from api.endpoints.chat import KEEP_ALIVE_S
from api.endpoints.service import Service, asked, grammar_of
from api.errors import ApiError, refusal_of
from api.replies import Ended, Part, parts_of
from api.settings import sampling_of
from api.thoughts import Piece
from api.wire import CompletionRequest
from engine import Engine
from engine.errors import EngineError

_MOST_TOKENS = 16  # unless it is said otherwise, as OpenAI has it


class Completions:
    """Goes on with texts."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response | streams.EventStream:
        """Answer one request. Raises ApiError."""
        wanted = await asked(CompletionRequest, request)
        engine = self._service.engine
        prompt = await _text(engine, wanted)
        params = sampling_of(wanted, self._service.sampling, wanted.max_tokens or _MOST_TOKENS)
        told = parts_of(
            engine.complete(prompt, params, grammar=grammar_of(wanted)), "prompt", is_raw=True
        )
        parts = listening.with_pauses(self._service.watched(request, told), KEEP_ALIVE_S)
        if not await listening.has_begun(request.receive, parts):
            return Response(status_code=499)
        echo = prompt if wanted.echo else ""
        head = {
            "id": f"cmpl-{secrets.token_hex(16)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": engine.info.name,
        }
        if wanted.stream:
            return streams.EventStream(_chunks(head, parts, echo, wanted.includes_usage))
        reply = await listening.while_listening(request.receive, _whole(head, parts, echo))
        return JSONResponse(reply) if reply is not None else Response(status_code=499)


async def _text(engine: Engine, wanted: CompletionRequest) -> str:
    if isinstance(wanted.prompt, str):
        return wanted.prompt
    try:
        return await engine.text_of(wanted.prompt)
    except EngineError as error:
        raise refusal_of(error, "prompt") from None


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


async def _chunks(
    head: dict[str, Any],
    parts: AsyncGenerator[Part | None, None],
    echo: str,
    includes_usage: bool,
) -> AsyncGenerator[bytes, None]:
    if echo:
        yield streams.event({**head, "choices": [_choice(echo, None)]})
    try:
        async with aclosing(parts) as told:
            async for part in told:
                match part:
                    case Piece():
                        yield streams.event({**head, "choices": [_choice(part.text, None)]})
                    case Ended():
                        yield streams.event({**head, "choices": [_choice("", part.finish_reason)]})
                        if includes_usage:
                            yield streams.event({**head, "choices": [], "usage": part.usage})
                    case None:
                        yield streams.event({**head, "choices": [_choice("", None)]})
        yield streams.DONE
    except ApiError as error:
        yield streams.refusal(error)


async def _whole(
    head: dict[str, Any], parts: AsyncGenerator[Part | None, None], echo: str
) -> dict[str, Any]:
    texts, ended = [echo], None
    async with aclosing(parts) as told:
        async for part in told:
            if isinstance(part, Piece):
                texts.append(part.text)
            elif isinstance(part, Ended):
                ended = part
    assert ended is not None, "a reply ends, or raises"
    choice = _choice("".join(texts), ended.finish_reason)
    return {**head, "choices": [choice], "usage": ended.usage, "warmchat": ended.extras}
