"""The bodies of POST /v1/messages and /v1/messages/count_tokens, as Anthropic has them."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from api.wire.chat import joined
from api.wire.sampling import Sampling
from api.wire.tools import ToolChoice

_THOUGHTS = ("thinking", "redacted_thinking")


def _answer(content: Any) -> str:
    """The text of blocks; thoughts that come back are left out, as every template leaves them out."""
    if isinstance(content, list):
        content = [b for b in content if not isinstance(b, dict) or b.get("type") not in _THOUGHTS]
    return joined(content)


class TurnMessage(BaseModel):
    """One message. content: a text, or blocks of text."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["user", "assistant", "system"]
    content: str = ""

    @field_validator("content", mode="before")
    @classmethod
    def _text(cls, value: Any) -> str:
        return _answer(value)


class Thinking(BaseModel):
    """Whether the model is to think."""

    type: Literal["enabled", "disabled", "adaptive"]


class MessagesRequest(Sampling):
    """A whole conversation, with its system prompt beside it."""

    messages: list[TurnMessage] = Field(min_length=1)
    system: str = ""
    stop: tuple[str, ...] = Field((), validation_alias=AliasChoices("stop_sequences"))
    max_tokens: Annotated[int, Field(ge=-1, le=10**9)] | None = None
    thinking: Thinking | None = None
    tool_choice: ToolChoice = None

    @property
    def thinks(self) -> bool:
        """Whether the model is to think; it is not unless a client says so."""
        return self.thinking is not None and self.thinking.type != "disabled"

    @field_validator("system", mode="before")
    @classmethod
    def _system(cls, value: Any) -> str:
        if isinstance(value, list):
            return "\n\n".join(filter(None, (joined([block]) for block in value)))
        return joined(value)
