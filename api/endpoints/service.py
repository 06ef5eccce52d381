"""What all endpoints share: the engine once it takes turns, whose request it is, and how its body is read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from api.errors import RETRY_AFTER_S, ApiError, invalid
from api.limits import Limits
from api.metrics import Metrics
from api.notes import notes_of
from api.program import OWNER, Program
from api.replies import Ended, Part
from api.talks import Talk, Talks
from api.wire import Structured, read
from engine import Engine, Grammar, Message, SamplingParams
from engine.conversations import PRIVATE
from engine.errors import ConfigError

Asked = TypeVar("Asked", bound=BaseModel)

_SYSTEM = {"system", "developer"}


@dataclass(frozen=True, slots=True)
class Service:
    """sampling: how replies are sampled where a request does not say."""

    program: Program
    sampling: SamplingParams
    talks: Talks
    limits: Limits
    metrics: Metrics

    @property
    def engine(self) -> Engine:
        """The engine, once it takes turns. Raises ApiError."""
        engine = self.program.engine
        if self.program.phase == "ready" and engine is not None:
            return engine
        if self.program.failure is not None:
            raise ApiError(503, self.program.failure, code="unavailable")
        raise ApiError(
            503, "The model is still loading.", code="loading", retry_after_s=RETRY_AFTER_S
        )

    async def watched(
        self, request: Request, parts: AsyncGenerator[Part, None]
    ) -> AsyncGenerator[Part, None]:
        """The parts of a reply, within the limits of whoever asks; what it took is noted. Raises ApiError."""
        owner = owner_of(request)
        self.limits.enter(owner)
        try:
            async with aclosing(parts) as told:
                async for part in told:
                    if isinstance(part, Ended):
                        notes_of(request.scope).usage = part.log
                        self.limits.spend(owner, part.computed_tokens)
                    yield part
        finally:
            self.limits.leave(owner)


def grammar_of(wanted: Structured) -> Grammar | None:
    """What the reply has to keep to. Raises ApiError."""
    try:
        return wanted.grammar
    except ConfigError as error:
        raise invalid(str(error), "response_format") from None


async def asked(kind: type[Asked], request: Request) -> Asked:
    """The request's body. Raises ApiError."""
    return read(kind, await request.body())


def owner_of(request: Request, store: bool | None = None) -> str:
    """Whose conversations the request is about, as the gate has found. store: False keeps them off the disk."""
    owner = str(request.scope[OWNER])
    return f"{PRIVATE}{owner}" if store is False else owner


def talk_of(said: Sequence[tuple[str, str]], owner: str, hint: str | None) -> tuple[Talk, str]:
    """What a client says, of roles and texts, and the system prompt, which is of all that are one.

    Raises ApiError.
    """
    system = "\n\n".join(text for role, text in said if role in _SYSTEM and text)
    talk = [Message(role, text) for role, text in said if role not in _SYSTEM]
    if not talk:
        raise invalid("messages: There must be a message of the user.", "messages")
    if talk[-1].role != "user":
        raise invalid("messages: The last message must be the user's.", "messages")
    return Talk(owner, tuple(talk[:-1]), talk[-1].content, hint), system
