"""The bodies of POST /tokenize and /detokenize, as llama.cpp's server and vLLM have them."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class TokenizeRequest(BaseModel):
    """A text, without special tokens around it. content: llama.cpp's name; prompt: vLLM's."""

    model_config = ConfigDict(extra="ignore")

    content: str = Field(validation_alias=AliasChoices("content", "prompt", "text"))


class DetokenizeRequest(BaseModel):
    """Token ids."""

    model_config = ConfigDict(extra="ignore")

    tokens: list[int]
