"""The fields that say how a reply is sampled; the same at every endpoint.

Names and ranges are OpenAI's, and those of llama.cpp's server and vLLM for what OpenAI lacks. null is as
good as nothing.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

MOST_STOPS, LONGEST_STOP = 100, 1000
MOST_BIASES = 1024

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
LogitBias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(BaseModel):
    """Of a stream. include_usage: one more chunk at the end, with the usage."""

    include_usage: bool = False


class Sampling(BaseModel):
    """How a reply is sampled, and how it is told. None: as the server has it."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=10**6)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None, validation_alias=AliasChoices("repetition_penalty", "repeat_penalty")
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    stop: tuple[str, ...] = ()
    max_tokens: Annotated[int, Field(ge=-1, le=10**9)] | None = None
    n: int | None = None
    logprobs: bool | int | None = None
    logit_bias: Annotated[dict[TokenId, LogitBias], Field(max_length=MOST_BIASES)] | None = None
    store: bool | None = None
    session_id: Any = None
    prompt_cache_key: Any = None
    metadata: Any = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def hints(self) -> dict[str, Any]:
        """What may name the conversation; whatever is in it, it is no reason to refuse a request."""
        return self.model_dump(include={"session_id", "prompt_cache_key", "metadata"})

    @field_validator("stop", mode="before")
    @classmethod
    def _stops(cls, value: Any) -> Any:
        stops = [value] if isinstance(value, str) else value or ()
        if not isinstance(stops, list | tuple) or not all(isinstance(s, str) for s in stops):
            raise PydanticCustomError("stop", "It must be a text or a list of texts.")
        if len(stops) > MOST_STOPS or not all(0 < len(s) <= LONGEST_STOP for s in stops):
            raise PydanticCustomError(
                "stop",
                f"At most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters are possible.",
            )
        return tuple(stops)

    @field_validator("max_tokens", "max_completion_tokens", mode="after", check_fields=False)
    @classmethod
    def _at_least_one(cls, value: int | None) -> int | None:
        if value == 0:
            raise PydanticCustomError("max_tokens", "It must be at least 1.")
        return None if value == -1 else value

    @field_validator("n")
    @classmethod
    def _one(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise PydanticCustomError("n", "Only one reply at a time is possible; leave it out.")
        return value

    @field_validator("logprobs")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        if value:
            raise PydanticCustomError("unsupported", "This is not supported; leave it out.")
        return value
