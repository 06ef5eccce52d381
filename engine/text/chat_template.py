"""Messages to the text that the model was trained on, with the model's own chat template.

Owns: the compiled Jinja template, and what is done where it knows no system prompt. Does not know: tokens,
sessions. What a template means is engine.text.template_environment's, where it is kept template_files'.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateError, meta

from engine.errors import ModelUnsupported, RequestError
from engine.text.template_environment import template_environment, variables_at
from engine.text.template_files import find_template, read_template, template_tokens

THINKING = "enable_thinking"  # Qwen3's name for it, which others took over

_PROBE = "\ufdd2"  # a noncharacter: it comes out of a template as it went in, or not at all


class Message(NamedTuple):
    """One message: role (system, user, assistant) and content."""

    role: str
    content: str

    @property
    def is_silence(self) -> bool:
        """Whether this is a reply that was over before its first word."""
        return self.role == "assistant" and not self.content.strip()


class ChatTemplate:
    """The chat template of a model. assumed: which of several it is, if none was the default.

    knows_system: whether it has a place for a system prompt, at each turn. Where it has none, the
    prompt stands in front of the first question, as in llama.cpp.
    """

    def __init__(self, source: str, variables: dict[str, Any], assumed: str | None = None) -> None:
        self.assumed = assumed
        self._variables = variables
        environment = template_environment()
        try:
            self._template = environment.from_string(source)
            asked_for = meta.find_undeclared_variables(environment.parse(source))
        except Exception as error:  # noqa: BLE001  (a template is a program)
            raise ModelUnsupported(
                f"The model's chat template cannot be read: {_reason(error)}. "
                "--chat-template FILE names another."
            ) from None
        self._can_think = THINKING in asked_for
        self.knows_system, self._in_parts = True, False
        self._in_parts = self._wants_parts()
        self.knows_system = self._finds_system()

    @property
    def can_think(self) -> bool:
        """Whether the template's option `enable_thinking` says if the model thinks first."""
        return self._can_think

    def render(
        self, messages: Sequence[Message], began_at: datetime | None = None, /, **options: Any
    ) -> str:
        """The conversation as text, ending where the assistant's reply begins.

        began_at: what templates that print a date take for today; None: now. options: variables of this
        template, such as `enable_thinking`. Raises RequestError.
        """
        now = (began_at or datetime.now()).astimezone()
        variables = variables_at(now) | self._variables | options
        if not self.knows_system:
            messages = _system_in_question(messages)
        try:
            return self._template.render(
                messages=[self._given(message) for message in messages],
                add_generation_prompt=True,
                **variables,
            )
        except TemplateError as error:
            raise RequestError(f"The model's chat template refuses this: {error}") from None
        except Exception as error:  # noqa: BLE001  (it can fail in any way)
            raise RequestError(
                f"The model's chat template fails here: {_reason(error)}. "
                "--chat-template FILE names another."
            ) from None

    def _finds_system(self) -> bool:
        """Whether a system prompt comes out, at a first and at a later turn, where questions do."""
        question, system = Message("user", _PROBE), Message("system", _PROBE)
        for before in ((), (Message("user", "a"), Message("assistant", "b"))):
            told = self._comes_out(system, *before, Message("user", "c"))
            if not told and self._comes_out(*before, question):
                return False
        return True

    def _wants_parts(self) -> bool:
        """Whether a question comes out of a list of parts alone, as of models that see images, too."""
        if self._comes_out(question := Message("user", _PROBE)):
            return False
        self._in_parts = True
        return self._comes_out(question)

    def _comes_out(self, *messages: Message) -> bool:
        try:
            return _PROBE in self.render(messages)
        except RequestError:
            return False

    def _given(self, message: Message) -> dict[str, Any]:
        if not self._in_parts:
            return message._asdict()
        return {"role": message.role, "content": [{"type": "text", "text": message.content}]}


def read_chat_template(model_dir: Path, file: Path | None = None) -> ChatTemplate | None:
    """The template in `file`, else that of the model in `model_dir`; None for a base model, which has none.

    Raises ModelNotFound or ModelUnsupported.
    """
    source = find_template(model_dir) if file is None else read_template(file)
    if source is None or not source.text.strip():
        return None
    return ChatTemplate(source.text, template_tokens(model_dir), source.assumed)


def _system_in_question(messages: Sequence[Message]) -> list[Message]:
    """The messages with the system prompt in front of what the first question says."""
    prompt = [message.content for message in messages if message.role == "system"]
    talk = [message for message in messages if message.role != "system"]
    for i, message in enumerate(talk):
        if prompt and message.role == "user":
            talk[i] = Message("user", "\n\n".join([*prompt, message.content]))
            break
    return talk


def _reason(error: Exception) -> str:
    """What went wrong inside of a template, in one line."""
    lines = f"{type(error).__name__}: {error}".splitlines()
    return lines[0].rstrip(" :.")
