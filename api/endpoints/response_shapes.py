"""What a response looks like in OpenAI's words: whole, as events in order, and long after it was given.

Owns: the shapes alone. Every event has the next sequence_number; an item's events stand between its `added` and `done`.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from api import streams
from api.errors import ApiError
from api.replies import Ended, Part
from api.thoughts import Piece, Thoughts
from api.wire import ResponsesRequest
from engine.conversations import Node
from engine.events import FinishReason


@dataclass(slots=True)
class Reply:
    """A response that is being given. texts: what came so far, thoughts first."""

    id: str
    created_at: int
    model: str
    wanted: ResponsesRequest
    texts: dict[bool, str] = field(default_factory=dict)
    number: int = 0

    def shaped(self, status: str, ended: Ended | None = None, **more: Any) -> dict[str, Any]:
        """The response as it is now."""
        wanted, items = self.wanted, [*_items(self.id, self.texts, status)]
        return {
            **_frame(self.id, self.created_at, self.model, status, items),
            "instructions": wanted.instructions,
            "max_output_tokens": wanted.max_output_tokens,
            "metadata": wanted.metadata if isinstance(wanted.metadata, dict) else {},
            "previous_response_id": wanted.previous_response_id,
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "usage": None if ended is None else usage(ended),
            "incomplete_details": {"reason": "max_output_tokens"}
            if status == "incomplete"
            else None,
            **more,
        }

    def event(self, kind: str, **fields: Any) -> bytes:
        """The next event."""
        self.number += 1
        return streams.event({"type": kind, "sequence_number": self.number - 1, **fields}, kind)


def usage(ended: Ended) -> dict[str, Any]:
    """What it took. Thoughts are not counted apart."""
    return {
        "input_tokens": ended.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": ended.figures.reused_tokens, "cache_write_tokens": 0,
        },
        "output_tokens": ended.figures.generated_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ended.prompt_tokens + ended.figures.generated_tokens,
    }  # fmt: skip


async def whole(reply: Reply, parts: AsyncGenerator[Part | None, None]) -> dict[str, Any]:
    """The response in one piece. Raises ApiError."""
    ended: Ended | None = None
    async with aclosing(parts) as told:
        async for part in told:
            if isinstance(part, Piece):
                _add(reply, part)
            elif isinstance(part, Ended):
                ended = part
    assert ended is not None, "a reply ends, or raises"
    return reply.shaped(_status(ended), ended)


async def events_of(
    reply: Reply, parts: AsyncGenerator[Part | None, None]
) -> AsyncGenerator[bytes, None]:
    """The response's events."""
    yield reply.event("response.created", response=reply.shaped("in_progress"))
    yield reply.event("response.in_progress", response=reply.shaped("in_progress"))
    open_kind: bool | None = None
    try:
        async with aclosing(parts) as told:
            async for part in told:
                match part:
                    case None:
                        shaped = reply.shaped("in_progress")
                        yield reply.event("response.in_progress", response=shaped)
                    case Piece():
                        if part.is_thought is not open_kind:
                            for raw in _closed(reply, open_kind):
                                yield raw
                            open_kind = part.is_thought
                            for raw in _opened(reply, open_kind):
                                yield raw
                        _add(reply, part)
                        yield _delta(reply, part)
                    case Ended():
                        for raw in _closed(reply, open_kind):
                            yield raw
                        status = _status(part)
                        yield reply.event(f"response.{status}", response=reply.shaped(status, part))
    except ApiError as error:
        failure = {"code": "server_error", "message": error.message}
        yield reply.event("response.failed", response=reply.shaped("failed", error=failure))


def kept(response_id: str, model: str, node: Node) -> dict[str, Any]:
    """A response that was given, as far as it is known: from its message in the conversation."""
    thoughts = Thoughts()
    if node.ending is not None and node.ending.figures.opens_thinking:
        thoughts.open()
    texts: dict[bool, str] = {}
    for piece in [*thoughts.feed(node.content), *thoughts.end()]:
        texts[piece.is_thought] = texts.get(piece.is_thought, "") + piece.text
    is_cut = node.ending is not None and node.ending.reason is FinishReason.LENGTH
    status = "incomplete" if is_cut or node.status != "complete" else "completed"
    shaped = _frame(response_id, 0, model, status, [*_items(response_id, texts, status)])
    if node.ending is not None:
        shaped["usage"] = usage(Ended(node.ending.figures, is_cut))
    return shaped


def _frame(
    response_id: str, created_at: int, model: str, status: str, items: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": status,
        "error": None,
        "model": model,
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "text": {"format": {"type": "text"}},
        "truncation": "auto",
    }


def _status(ended: Ended) -> str:
    return "incomplete" if ended.is_cut else "completed"


def _add(reply: Reply, piece: Piece) -> None:
    reply.texts[piece.is_thought] = reply.texts.get(piece.is_thought, "") + piece.text


def _items(response_id: str, texts: dict[bool, str], status: str) -> Iterator[dict[str, Any]]:
    for is_thought, text in texts.items():
        yield _item(response_id, is_thought, text, status)


def _item(response_id: str, is_thought: bool, text: str | None, status: str) -> dict[str, Any]:
    """An item of the output. text: None while nothing of it has come."""
    status = status if status in {"in_progress", "completed"} else "incomplete"
    name = response_id.removeprefix("resp_")
    content = [] if text is None else [_part(is_thought, text)]
    if is_thought:
        return {"id": f"rs_{name}", "type": "reasoning", "summary": [], "content": content, "status": status}  # fmt: skip
    return {"id": f"msg_{name}", "type": "message", "role": "assistant", "status": status, "content": content}  # fmt: skip


def _part(is_thought: bool, text: str) -> dict[str, Any]:
    if is_thought:
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(reply: Reply, is_thought: bool) -> dict[str, Any]:
    """Which item, and which part of it, an event is about. The answer's stands behind the thoughts'."""
    index = 0 if is_thought or True not in reply.texts else 1
    item = _item(reply.id, is_thought, None, "in_progress")
    return {"item_id": item["id"], "output_index": index, "content_index": 0}


def _opened(reply: Reply, is_thought: bool) -> Iterator[bytes]:
    place, item = _place(reply, is_thought), _item(reply.id, is_thought, None, "in_progress")
    yield reply.event("response.output_item.added", output_index=place["output_index"], item=item)
    if not is_thought:
        part = _part(is_thought, "")
        yield reply.event("response.content_part.added", **place, part=part)


def _delta(reply: Reply, piece: Piece) -> bytes:
    place = _place(reply, piece.is_thought)
    if piece.is_thought:
        return reply.event("response.reasoning_text.delta", **place, delta=piece.text)
    return reply.event("response.output_text.delta", **place, delta=piece.text, logprobs=[])


def _closed(reply: Reply, is_thought: bool | None) -> Iterator[bytes]:
    if is_thought is None:
        return
    place, text = _place(reply, is_thought), reply.texts.get(is_thought, "")
    if is_thought:
        yield reply.event("response.reasoning_text.done", **place, text=text)
    else:
        yield reply.event("response.output_text.done", **place, text=text, logprobs=[])
        yield reply.event("response.content_part.done", **place, part=_part(is_thought, text))
    item = _item(reply.id, is_thought, text, "completed")
    yield reply.event("response.output_item.done", output_index=place["output_index"], item=item)
