"""From the engine's events to what every surface tells of a reply.

Owns: the pieces of a reply, and its end: the reason and the figures, in no surface's words yet. Errors
of the engine become refusals here. Does not know HTTP.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from api.errors import ApiError, refusal_of
from api.talks import Where
from api.thoughts import Piece, Thoughts
from engine import TurnFigures, events
from engine.errors import EngineError
from engine.events import FinishReason


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is taken: it waits, or is being read. Comes first. where: the reply stands, in a conversation."""

    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The reply is over. is_cut: by its length."""

    figures: TurnFigures
    is_cut: bool

    @property
    def prompt_tokens(self) -> int:
        """All tokens in front of the reply."""
        return self.figures.reused_tokens + self.figures.prefilled_tokens

    @property
    def finish_reason(self) -> str:
        """In OpenAI's words."""
        return "length" if self.is_cut else "stop"

    @property
    def usage(self) -> dict[str, Any]:
        """As OpenAI's chat completions tell it."""
        written = self.figures.generated_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
            "prompt_tokens_details": {"cached_tokens": self.figures.reused_tokens},
        }

    @property
    def computed_tokens(self) -> int:
        """Of the prompt and the reply, what the model had to compute."""
        return self.figures.prefilled_tokens + self.figures.generated_tokens

    @property
    def log(self) -> dict[str, Any]:
        """What a line of the log tells of it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.figures.reused_tokens,
            "completion_tokens": self.figures.generated_tokens,
            "source": self.figures.source.value,
            "ttft_s": None if self.figures.ttft_s is None else round(self.figures.ttft_s, 4),
            "finish_reason": self.finish_reason,
        }

    @property
    def extras(self) -> dict[str, Any]:
        """What nobody else's API has: where the KV came from, and the times in seconds."""
        figures = self.figures
        told = {
            "source": figures.source.value,
            "wait_s": figures.wait_s,
            "ttft_s": figures.ttft_s,
            "itl_s": figures.itl_s,
            "first_visible": figures.first_visible,
            "note": figures.note,
        }
        return {name: value for name, value in told.items() if value is not None}


Part = Begun | Piece | Ended


async def parts_of(
    stream: AsyncGenerator[events.Event | Where, None],
    param: str = "messages",
    *,
    is_raw: bool = False,
) -> AsyncGenerator[Part, None]:
    """The parts of a reply; raises ApiError where it ends otherwise than by itself or its length.

    param: the field that holds what was said. is_raw: there are no thoughts in it.
    """
    thoughts, has_begun = Thoughts(), False
    try:
        async with aclosing(stream) as told:
            async for event in told:
                if not has_begun:
                    has_begun = True
                    yield Begun(event if isinstance(event, Where) else None)
                match event:
                    case events.Thinking():
                        thoughts.open()
                    case events.Text(text=text) if is_raw:
                        yield Piece(text)
                    case events.Text(text=text):
                        for piece in thoughts.feed(text):
                            yield piece
                    case events.Finished():
                        for piece in thoughts.end():
                            yield piece
                        yield _ended(event)
    except EngineError as error:
        raise refusal_of(error, param) from None


def _ended(finished: events.Finished) -> Ended:
    if finished.reason is FinishReason.CANCELLED:
        raise ApiError(503, "The server is ending; try again later.", code="cancelled")
    if finished.reason is FinishReason.ERROR:
        raise ApiError(500, finished.error or "The reply failed.", code="server_error")
    return Ended(finished.figures, finished.reason is FinishReason.LENGTH)
