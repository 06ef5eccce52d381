"""The body of POST /v1/responses, as OpenAI has it."""

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from api.wire.chat import joined
from api.wire.sampling import Sampling
from api.wire.tools import ToolChoice

_ROLES = ("user", "assistant", "system", "developer")


class ResponsesRequest(Sampling):
    """What is new, behind what previous_response_id names, or all that was said."""

    input: tuple[tuple[str, str], ...]
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    tool_choice: ToolChoice = None
    background: bool | None = None
    conversation: Any = None

    @property
    def effort(self) -> str | None:
        """How much the model is to think."""
        effort = (self.reasoning or {}).get("effort")
        return effort if isinstance(effort, str) else None

    @field_validator("input", mode="before")
    @classmethod
    def _items(cls, value: Any) -> Any:
        """Roles and texts. Thoughts that come back are left out, as every template leaves them out."""
        if isinstance(value, str):
            return (("user", value),)
        if not isinstance(value, list) or not value:
            raise PydanticCustomError("input", "It must be a text, or a list of items.")
        return tuple(_message(i, item) for i, item in enumerate(value) if not _is_thought(item))

    @field_validator("background", "conversation")
    @classmethod
    def _unsupported(cls, value: Any) -> Any:
        if value:
            raise PydanticCustomError("unsupported", "This is not supported; leave it out.")
        return value

    @field_validator("text")
    @classmethod
    def _plain(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        form = (value or {}).get("format") or {}
        if isinstance(form, dict) and form.get("type", "text") != "text":
            raise PydanticCustomError("unsupported", "Replies are text alone; leave it out.")
        return value


def _is_thought(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _message(place: int, item: Any) -> tuple[str, str]:
    if not isinstance(item, dict) or item.get("type", "message") != "message":
        kind = item.get("type") if isinstance(item, dict) else "this kind"
        raise PydanticCustomError(
            "item", "Item {place} is of type {kind}, which cannot be read.",
            {"place": place, "kind": str(kind)},
        )  # fmt: skip
    if item.get("role") not in _ROLES:
        raise PydanticCustomError("item", "Item {place} has no role that is known.", {"place": place})  # fmt: skip
    return item["role"], joined(item.get("content"))
