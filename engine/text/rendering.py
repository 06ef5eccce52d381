"""Messages to the text and the tokens of a prompt, safe against what people write into them.

Owns: the tokenizer and the template together with what the operator set. Does not know: branches,
what is cached.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.text import channels
from engine.text.chat_template import THINKING, ChatTemplate, Message
from engine.text.streaming import ReplyText
from engine.text.tokenizer import Tokenizer
from engine.text.wordless import OPEN_THOUGHTS

MARK = "\ufdd1"  # a noncharacter: where a rendered text is cut


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds the messages: the system prompt and variables of the template.

    began_at: when the conversation began, which templates that print a date take for today; None: now.
    """

    system: str | None = None
    template_options: dict[str, Any] = field(default_factory=dict)
    began_at: datetime | None = None


class Renderer:
    """Renders conversations for one model. operator_prompt: where a conversation has none."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        operator_prompt: str | None = None,
        completion_prefix: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._operator_prompt = operator_prompt
        self._completion_prefix = completion_prefix
        self._special_ids = frozenset(tokenizer.special_tokens.values())

    @property
    def has_template(self) -> bool:
        """Whether the model was trained to chat."""
        return self._template is not None

    @property
    def can_think(self) -> bool:
        """Whether the option `enable_thinking` says if the model thinks first."""
        is_told = self._template is not None and self._template.can_think
        return is_told or (self._template is not None and self._tokenizer.has_channels)

    def reply_text(
        self, context: Sequence[int], stop: Sequence[str] = (), earlier: str = ""
    ) -> ReplyText:
        """The text of a reply behind the tokens `context`, going on from what people see of it."""
        if not self._tokenizer.has_channels:
            return ReplyText(context, stop)
        before = channels.prompt_with("", earlier) if earlier else ""
        num_shown = len(channels.shown(before))
        return ReplyText(context, stop, lambda said: channels.shown(before + said)[num_shown:])

    def chat(self, messages: Sequence[Message], setting: Setting) -> str:
        """The text up to where the reply begins, or goes on if one is the last of the messages.

        A reply without a word, which the model would imitate, is left out: what was asked before and
        behind it is one message then. Raises RequestError if the template refuses it.
        """
        if messages and messages[-1].role == "assistant":
            return self._with_reply(self.chat(messages[:-1], setting), messages[-1])
        if self._template is None:
            return self.completion("".join(message.content for message in messages))
        prompt = setting.system or self._operator_prompt
        system = (Message("system", prompt),) if prompt else ()
        escaped = [self._escaped(message) for message in (*system, *_answered(messages))]
        if self._tokenizer.has_channels:
            return self._in_channels(self._template, escaped, setting)
        return self._template.render(escaped, setting.began_at, **setting.template_options)

    def opens_thoughts(self, text: str, messages: Sequence[Message]) -> bool:
        """Whether the template has opened the thoughts in `text`, rendered of `messages`, for the reply."""
        if self._template is None or self._tokenizer.has_channels:
            return False
        if messages and messages[-1].role == "assistant":
            text = text[: len(text) - len(self._escaped(messages[-1]).content)]
        return text.rstrip().endswith(OPEN_THOUGHTS)

    def completion(self, text: str) -> str:
        """Plain text for a model to go on with."""
        return self._completion_prefix + self._tokenizer.escape(text)

    def is_empty(self, text: str) -> bool:
        """Whether nothing of `text` would reach the model."""
        return not self._tokenizer.escape(text).strip()

    def encode(self, text: str, token_before: int | None) -> list[int]:
        """The tokens of rendered text that goes on behind `token_before`."""
        continues = token_before is not None and token_before not in self._special_ids
        return self._tokenizer.encode(text, continues=continues)

    def encode_reply(self, text: str) -> list[int]:
        """The tokens of what a reply says."""
        return self.encode(self._escaped(Message("assistant", text)).content, None)

    def operator_tokens(self) -> list[int]:
        """The tokens that every conversation under the operator's prompt begins with."""
        if self._template is None:
            return []
        text = self.chat([Message("user", MARK)], Setting())
        return self.encode(text.partition(MARK)[0], None) if MARK in text else []

    def _with_reply(self, prompt: str, reply: Message) -> str:
        content = self._escaped(reply).content
        if self._template is not None and self._tokenizer.has_channels:
            return channels.prompt_with(prompt, content)
        return prompt + content

    def _in_channels(
        self, template: ChatTemplate, escaped: Sequence[Message], setting: Setting
    ) -> str:
        told = [
            message._replace(content=channels.without_thoughts(message.content))
            if message.role == "assistant"
            else message
            for message in escaped
        ]
        text = channels.marked(template.render(told, setting.began_at, **setting.template_options))
        thinks = setting.template_options.get(THINKING, True)
        return text if thinks else channels.prompt_without_thoughts(text)

    def _escaped(self, message: Message) -> Message:
        is_reply = message.role == "assistant"
        escape = self._tokenizer.escape_reply if is_reply else self._tokenizer.escape
        return message._replace(content=escape(message.content))


def _answered(messages: Sequence[Message]) -> list[Message]:
    """The messages without empty replies; what several ones of a person say in a row is one."""
    heard: list[Message] = []
    for message in messages:
        if message.is_silence:
            continue
        if message.role == "user" and heard and heard[-1].role == "user":
            heard[-1] = Message("user", f"{heard[-1].content}\n\n{message.content}")
        else:
            heard.append(message)
    return heard
