"""The body of POST /v1/chat/completions."""

import inspect
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.wire.structured import Structured
from api.wire.tools import ToolChoice
from engine import Engine

TEXT_PARTS = {"text", "input_text", "output_text", "refusal"}
# Variables of a template that are the conversation itself, or the model's; and what the engine's turns are told
# by these names beside them.
RESERVED = {"messages", "add_generation_prompt", "tools", "documents"}
RESERVED |= inspect.signature(Engine.chat).parameters.keys()


def joined(content: Any) -> str:
    """The text of a message's content: a string, null, or parts. Raises PydanticCustomError."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise PydanticCustomError("content", "It must be a text, null, or a list of parts.")
    return "".join(_text_of(part) for part in content)


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or not isinstance(kind := part.get("type"), str):
        raise PydanticCustomError("part", "Each part must be an object with a type.")
    if kind not in TEXT_PARTS:
        raise PydanticCustomError(
            "part",
            "Parts of type {kind} cannot be read: this model reads text alone.",
            {"kind": kind},
        )
    text = part.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise PydanticCustomError("part", "A part of text must have a text.")
    return text


class ChatMessage(BaseModel):
    """One message. developer is as good as system. A reply's thoughts need not be sent back."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_tools(cls, value: Any) -> Any:
        if isinstance(value, dict) and (
            value.get("tool_calls") or value.get("role") in ("tool", "function")
        ):
            raise PydanticCustomError("tools", "Calls of tools and their results cannot be read.")
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _text(cls, value: Any) -> str:
        return joined(value)


class ChatRequest(Structured):
    """A whole conversation, and how the next reply is made."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Annotated[int, Field(ge=-1, le=10**9)] | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tool_choice: ToolChoice = None

    @property
    def reply_tokens(self) -> int | None:
        """The longest reply; the newer name goes before the older one."""
        return self.max_completion_tokens or self.max_tokens

    @field_validator("chat_template_kwargs")
    @classmethod
    def _own_variables(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value and (taken := RESERVED & value.keys()):
            raise PydanticCustomError(
                "reserved", "{name} is not for the template alone.", {"name": min(taken)}
            )
        return value
