"""Messages to the text that the model was trained on, with the model's own chat template.

Owns: the compiled Jinja template. Does not know: tokens, sessions. The environment is that of
Hugging Face's `apply_chat_template` (sandboxed, trimmed blocks, `raise_exception`,
`strftime_now`, `tojson`, `{% generation %}`), so a template means here what it means there.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jinja2 import TemplateError, meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import ModelUnsupported, RequestError

THINKING = "enable_thinking"  # Qwen3's name for it, which others took over
# How models that think mark where they do. What they say is told as it is; these say where it begins.
OPEN_THOUGHTS, CLOSE_THOUGHTS = "<think>", "</think>"


class Message(NamedTuple):
    """One message: role (system, user, assistant) and content."""

    role: str
    content: str

    @property
    def is_silence(self) -> bool:
        """Whether this is a reply that was over before its first word."""
        return self.role == "assistant" and not self.content.strip()


class ChatTemplate:
    """The chat template of a model."""

    def __init__(self, source: str, variables: dict[str, Any]) -> None:
        self._variables = variables
        environment = _environment()
        try:
            self._template = environment.from_string(source)
            asked_for = meta.find_undeclared_variables(environment.parse(source))
        except TemplateError as error:
            raise ModelUnsupported(f"The model's chat template cannot be read: {error}") from None
        self._can_think = THINKING in asked_for

    @property
    def can_think(self) -> bool:
        """Whether the template's option `enable_thinking` says if the model thinks first."""
        return self._can_think

    def render(self, messages: Sequence[Message], **options: Any) -> str:
        """The conversation as text, ending where the assistant's reply begins.

        options: variables of this template, such as `enable_thinking`. Raises RequestError.
        """
        variables = self._variables | options
        try:
            return self._template.render(
                messages=[message._asdict() for message in messages],
                add_generation_prompt=True,
                **variables,
            )
        except TemplateError as error:
            raise RequestError(f"The model's chat template refuses this: {error}") from None


def read_chat_template(model_dir: Path) -> ChatTemplate | None:
    """The template in `model_dir`; None for a model that has none (a base model)."""
    config_file = model_dir / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    file = model_dir / "chat_template.jinja"
    source = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    if isinstance(source, list):  # several named ones, as some tokenizer configurations have
        source = next((t["template"] for t in source if t["name"] == "default"), None)
    if not source:
        return None
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    return ChatTemplate(source, {name: _content(config.get(name)) for name in names})


def _content(token: Any) -> str:
    """A special token's string: configurations spell it as one, or as a dictionary."""
    return str(token["content"] if isinstance(token, dict) else token or "")


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012  jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
