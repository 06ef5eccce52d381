"""POST /v1/messages and /v1/messages/count_tokens, as Anthropic has them."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import listening, streams
from api.chain import steady
from api.endpoints.chat import KEEP_ALIVE_S
from api.endpoints.service import Service, asked, owner_of, talk_of
from api.errors import ApiError, refusal_of
from api.hints import hint_of
from api.replies import Ended, Part, parts_of
from api.settings import Wish, sampling_of
from api.talks import Talk
from api.thoughts import Piece
from api.wire import MessagesRequest
from engine import Engine
from engine.errors import EngineError
from engine.text import THINKING


class Messages:
    """Replies to conversations, in blocks."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response | streams.EventStream:
        """Answer one request. Raises ApiError."""
        wanted, engine, talk, wish = await self._read(request)
        told = parts_of(self._service.talks.said(engine, talk, wish))
        parts = listening.with_pauses(self._service.watched(request, told), KEEP_ALIVE_S)
        if not await listening.has_begun(request.receive, parts):
            return Response(status_code=499)
        head = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": engine.info.name,
        }
        if wanted.stream:
            num_tokens = await _count(engine, talk, wish)
            return streams.EventStream(_events(head, parts, num_tokens))
        reply = await listening.while_listening(request.receive, _whole(head, parts))
        return JSONResponse(reply) if reply is not None else Response(status_code=499)

    async def count(self, request: Request) -> JSONResponse:
        """How many tokens a request would have in front of the reply. Raises ApiError."""
        _, engine, talk, wish = await self._read(request)
        return JSONResponse({"input_tokens": await _count(engine, talk, wish)})

    async def _read(self, request: Request) -> tuple[MessagesRequest, Engine, Talk, Wish]:
        wanted, engine = await asked(MessagesRequest, request), self._service.engine
        hint = hint_of(wanted.hints, request.headers)
        said = [(message.role, message.content) for message in wanted.messages]
        talk, in_between = talk_of(said, owner_of(request, wanted.store), hint)
        system = "\n\n".join(filter(None, (steady(wanted.system), in_between)))
        options = {THINKING: wanted.thinks} if engine.info.can_think else {}
        params = sampling_of(wanted, self._service.sampling, wanted.max_tokens)
        return wanted, engine, talk, Wish(params, system or None, options)


async def _count(engine: Engine, talk: Talk, wish: Wish) -> int:
    try:
        return await engine.num_prompt_tokens(
            talk.messages, system=wish.system, **wish.template_options
        )
    except EngineError as error:
        raise refusal_of(error) from None


def _usage(ended: Ended) -> dict[str, Any]:
    return {
        "input_tokens": ended.prompt_tokens - ended.figures.reused_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": ended.figures.reused_tokens,
        "output_tokens": ended.figures.generated_tokens,
    }


def _stop(ended: Ended) -> dict[str, Any]:
    return {"stop_reason": "max_tokens" if ended.is_cut else "end_turn", "stop_sequence": None}


def _block(kind: str, text: str) -> dict[str, Any]:
    """A block of a reply: `thinking` or `text`."""
    block = {"type": kind, kind: text}
    return {**block, "signature": ""} if kind == "thinking" else block


async def _whole(head: dict[str, Any], parts: AsyncGenerator[Part | None, None]) -> dict[str, Any]:
    texts: dict[str, str] = {}
    ended: Ended | None = None
    async with aclosing(parts) as told:
        async for part in told:
            if isinstance(part, Piece):
                kind = "thinking" if part.is_thought else "text"
                texts[kind] = texts.get(kind, "") + part.text
            elif isinstance(part, Ended):
                ended = part
    assert ended is not None, "a reply ends, or raises"
    content = [_block(kind, text) for kind, text in texts.items()]
    return {**head, "content": content, **_stop(ended), "usage": _usage(ended)}


def _told(kind: str, **fields: Any) -> bytes:
    return streams.event({"type": kind, **fields}, kind)


async def _events(
    head: dict[str, Any], parts: AsyncGenerator[Part | None, None], num_tokens: int
) -> AsyncGenerator[bytes, None]:
    usage = {"input_tokens": num_tokens, "output_tokens": 0}
    begun = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _told("message_start", message=begun)
    index, open_kind = -1, None
    try:
        async with aclosing(parts) as told:
            async for part in told:
                match part:
                    case None:
                        yield _told("ping")
                    case Piece():
                        kind = "thinking" if part.is_thought else "text"
                        if kind != open_kind:
                            if open_kind is not None:
                                yield _told("content_block_stop", index=index)
                            index, open_kind = index + 1, kind
                            block = _block(kind, "")
                            yield _told("content_block_start", index=index, content_block=block)
                        delta = {"type": f"{kind}_delta", kind: part.text}
                        yield _told("content_block_delta", index=index, delta=delta)
                    case Ended():
                        if open_kind is not None:
                            yield _told("content_block_stop", index=index)
                        yield _told("message_delta", delta=_stop(part), usage=_usage(part))
        yield _told("message_stop")
    except ApiError as error:
        yield streams.event(error.blocks, "error")
