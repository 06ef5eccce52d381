"""POST /v1/chat/completions, as OpenAI has it: the whole list of messages comes, and only the newest is prefilled."""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import listening, streams
from api.chain import steady
from api.endpoints.service import Service, asked, grammar_of, owner_of, talk_of
from api.errors import ApiError
from api.hints import hint_of
from api.replies import Ended, Part, parts_of
from api.settings import Wish, options_of, sampling_of
from api.thoughts import Piece
from api.wire import ChatRequest
from engine import Engine

KEEP_ALIVE_S = 15.0


class Chat:
    """Replies to conversations."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response | streams.EventStream:
        """Answer one request. Raises ApiError."""
        wanted = await asked(ChatRequest, request)
        engine = self._service.engine
        hint = hint_of(wanted.hints, request.headers)
        said = [(message.role, message.content) for message in wanted.messages]
        talk, system = talk_of(said, owner_of(request, wanted.store), hint)
        wish = self._wish(engine, wanted, system)
        told = parts_of(self._service.talks.said(engine, talk, wish))
        parts = listening.with_pauses(self._service.watched(request, told), KEEP_ALIVE_S)
        if not await listening.has_begun(request.receive, parts):
            return Response(status_code=499)
        head = Head(engine.info.name)
        if wanted.stream:
            return streams.EventStream(_chunks(head, parts, wanted.includes_usage))
        reply = await listening.while_listening(request.receive, _whole(head, parts))
        return JSONResponse(reply) if reply is not None else Response(status_code=499)

    def _wish(self, engine: Engine, wanted: ChatRequest, system: str) -> Wish:
        return Wish(
            sampling_of(wanted, self._service.sampling, wanted.reply_tokens),
            steady(system) or None,
            options_of(engine.info, wanted.reasoning_effort, wanted.chat_template_kwargs),
            grammar_of(wanted),
        )


class Head:
    """What all chunks of one reply have in common."""

    def __init__(self, model: str) -> None:
        self._fields = {
            "id": f"chatcmpl-{secrets.token_hex(16)}",
            "created": int(time.time()),
            "model": model,
        }

    def of(self, kind: str, **more: Any) -> dict[str, Any]:
        """An object with them."""
        return {"object": kind, **self._fields, **more}

    def chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        """A chunk with its one choice."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return streams.event(self.of("chat.completion.chunk", choices=[choice]))


async def _chunks(
    head: Head, parts: AsyncGenerator[Part | None, None], includes_usage: bool
) -> AsyncGenerator[bytes, None]:
    yield head.chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(parts) as told:
            async for part in told:
                match part:
                    case Piece():
                        name = "reasoning_content" if part.is_thought else "content"
                        yield head.chunk({name: part.text})
                    case Ended():
                        yield head.chunk({}, part.finish_reason)
                        if includes_usage:
                            more = {"choices": [], "usage": part.usage, "warmchat": part.extras}
                            yield streams.event(head.of("chat.completion.chunk", **more))
                    case None:
                        yield head.chunk({})
        yield streams.DONE
    except ApiError as error:
        yield streams.refusal(error)


async def _whole(head: Head, parts: AsyncGenerator[Part | None, None]) -> dict[str, Any]:
    """The reply in one piece. Raises ApiError."""
    texts: dict[bool, list[str]] = {False: [], True: []}
    ended: Ended | None = None
    async with aclosing(parts) as told:
        async for part in told:
            if isinstance(part, Piece):
                texts[part.is_thought].append(part.text)
            elif isinstance(part, Ended):
                ended = part
    assert ended is not None, "a reply ends, or raises"
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts[False])}
    if texts[True]:
        message["reasoning_content"] = "".join(texts[True])
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": ended.finish_reason,
    }
    return head.of("chat.completion", choices=[choice], usage=ended.usage, warmchat=ended.extras)
