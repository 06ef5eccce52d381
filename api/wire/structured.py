"""What a reply has to keep to: OpenAI's `response_format`, and vLLM's `structured_outputs` for the rest."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.wire.sampling import Sampling
from engine import Grammar

Source = Annotated[str, Field(min_length=1)]


class Schema(BaseModel):
    """A JSON schema with its name; each is followed to the letter, strict or not."""

    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None

    @property
    def grammar(self) -> Grammar:
        """Without a schema any object will do."""
        return Grammar.of_any_object() if self.schema_ is None else Grammar.of_schema(self.schema_)


class PlainFormat(BaseModel):
    """Any text."""

    type: Literal["text"] = "text"

    @property
    def grammar(self) -> Grammar | None:
        """There is none."""
        return None


class ObjectFormat(BaseModel):
    """Any JSON object."""

    type: Literal["json_object"]

    @property
    def grammar(self) -> Grammar:
        """JSON of any kind."""
        return Grammar.of_any_object()


class SchemaFormat(BaseModel):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: Schema

    @property
    def grammar(self) -> Grammar:
        """The schema's."""
        return self.json_schema.grammar


Format = Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StructuredOutputs(BaseModel):
    """One of a JSON schema, a regular expression, a Lark grammar, a list of answers."""

    json_: dict[str, Any] | None = Field(None, alias="json")
    regex: Source | None = None
    grammar: Source | None = None
    choice: Annotated[list[Source], Field(min_length=1, max_length=1000)] | None = None

    @property
    def asked_for(self) -> Grammar | None:
        """The first that is given."""
        if self.json_ is not None:
            return Grammar.of_schema(self.json_)
        if self.regex is not None:
            return Grammar("regex", self.regex)
        if self.grammar is not None:
            return Grammar("lark", self.grammar)
        if self.choice is not None:
            return Grammar("lark", f"start: {' | '.join(map(json.dumps, self.choice))}")
        return None


class Structured(Sampling):
    """A reply that may have to keep to a grammar."""

    response_format: Format | None = None
    structured_outputs: StructuredOutputs | None = None

    @property
    def grammar(self) -> Grammar | None:
        """What the reply has to keep to. Raises ConfigError for one that is too long."""
        if self.structured_outputs is not None:
            return self.structured_outputs.asked_for
        return self.response_format.grammar if self.response_format is not None else None
