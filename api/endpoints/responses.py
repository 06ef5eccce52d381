"""POST /v1/responses and GET /v1/responses/ID, as OpenAI has them.

Owns: the ids of responses, which last: one names the conversation and the message in it, so that a client need send
only what is new, after a restart, too.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import listening, streams
from api.chain import steady
from api.endpoints.chat import KEEP_ALIVE_S
from api.endpoints.response_shapes import Reply, events_of, kept, whole
from api.endpoints.service import Service, asked, owner_of, talk_of
from api.errors import ApiError
from api.hints import hint_of
from api.replies import Begun, Part, parts_of
from api.settings import Wish, options_of, sampling_of
from api.talks import Where
from api.wire import ResponsesRequest
from engine import Engine, SessionId
from engine.conversations import Node
from engine.errors import RequestError

_ID = re.compile(r"resp_([\w-]{32})([0-9a-f]{1,16})", re.ASCII)


class Responses:
    """Replies behind earlier ones, or to whole conversations."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response | streams.EventStream:
        """Answer one request. Raises ApiError."""
        wanted, engine = await asked(ResponsesRequest, request), self._service.engine
        owner = owner_of(request)
        before, preface = await self._before(engine, owner, wanted.previous_response_id)
        talk, own_preface = talk_of(
            [*before, *wanted.input],
            owner_of(request, wanted.store),
            hint_of(wanted.hints, request.headers),
        )
        preface = "\n\n".join(filter(None, (preface, own_preface)))
        system = "\n\n".join(filter(None, (wanted.instructions, preface)))
        wish = Wish(
            sampling_of(wanted, self._service.sampling, wanted.max_output_tokens),
            steady(system) or None,
            options_of(engine.info, wanted.effort, None),
        )
        told = self._placed(engine, preface, parts_of(self._service.talks.said(engine, talk, wish), "input"))  # fmt: skip
        parts = listening.with_pauses(self._service.watched(request, told), KEEP_ALIVE_S)
        begun = await listening.while_listening(request.receive, _begun(parts))
        if begun is None:
            return Response(status_code=499)
        reply = Reply(_id_of(begun), int(time.time()), engine.info.name, wanted)
        if wanted.stream:
            return streams.EventStream(events_of(reply, parts))
        found = await listening.while_listening(request.receive, whole(reply, parts))
        return JSONResponse(found) if found is not None else Response(status_code=499)

    async def one(self, request: Request) -> JSONResponse:
        """A response that was given. Raises ApiError."""
        engine, response_id = self._service.engine, request.path_params["id"]
        _, path = await self._found(engine, owner_of(request), response_id)
        return JSONResponse(kept(response_id, engine.info.name, path[-1]))

    async def _before(
        self, engine: Engine, owner: str, response_id: str | None
    ) -> tuple[list[tuple[str, str]], str]:
        """What was said up to a response, that included, and what stands in front of it all."""
        if response_id is None:
            return [], ""
        session_id, path = await self._found(engine, owner, response_id)
        preface = await asyncio.to_thread(engine.trails.preface, session_id)
        return [(node.role, node.content) for node in path], preface or ""

    async def _found(
        self, engine: Engine, owner: str, response_id: str
    ) -> tuple[SessionId, tuple[Node, ...]]:
        """The conversation of a response, and the messages up to it. Raises ApiError."""
        if found := _ID.fullmatch(response_id):
            session_id = SessionId(owner, found[1])
            await self._service.talks.open(engine, session_id)
            try:
                path = engine.path(session_id, int(found[2], 16))
            except RequestError:
                path = ()
            if path and path[-1].role == "assistant":
                return session_id, path
            if not engine.messages(session_id):
                engine.close_session(session_id)
        raise ApiError(
            404,
            f"There is no response {response_id} here.",
            param="previous_response_id",
            code="previous_response_not_found",
        )

    async def _placed(
        self, engine: Engine, preface: str, parts: AsyncGenerator[Part, None]
    ) -> AsyncGenerator[Part, None]:
        """The parts; what the client put in front is kept with the conversation, for the next response."""
        async with aclosing(parts) as told:
            async for part in told:
                if isinstance(part, Begun) and part.where is not None and preface:
                    engine.trails.keep_preface(part.where.session_id, preface)
                yield part


async def _begun(parts: AsyncGenerator[Part | None, None]) -> Where:
    """Where the reply stands, once the request is taken. A pause before that is passed over."""
    async for part in parts:
        if isinstance(part, Begun):
            assert part.where is not None, "it stands in a conversation"
            return part.where
    raise AssertionError("a reply begins, or raises")


def _id_of(where: Where) -> str:
    return f"resp_{where.session_id.conversation}{where.node_id:x}"
