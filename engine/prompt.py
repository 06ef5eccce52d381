"""From a request to the tokens of its prompt: what stays of the session, what is new.

Owns: the rules about messages (empty, too long, context full). Pure with respect to the session:
nothing is changed, so a refused request leaves everything as it was.
"""

from dataclasses import dataclass

from engine.chat_template import ChatTemplate, Message
from engine.errors import EmptyMessage, MessageTooLong, RequestError
from engine.ledger import Plan
from engine.session import Session
from engine.tokenizer import Tokenizer
from engine.turn import TurnRequest


@dataclass(frozen=True, slots=True)
class Prompt:
    """The session's messages once the request is taken, and the way to their tokens."""

    messages: tuple[Message, ...]
    plan: Plan

    @property
    def num_tokens(self) -> int:
        """Tokens in front of the reply."""
        return self.plan.num_kept + len(self.plan.new_tokens)


class PromptBuilder:
    """Renders and encodes what a session has not encoded yet."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate | None, context_length: int
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._special_ids = frozenset(tokenizer.special_tokens.values())
        self._context_length = context_length

    def build(self, session: Session, request: TurnRequest) -> Prompt:
        """The prompt for `request`. Raises EmptyMessage, MessageTooLong or RequestError."""
        if not self._tokenizer.escape(request.message).strip():
            raise EmptyMessage("The message is empty; write something first.")
        if request.keep is not None and not 0 <= request.keep <= len(session.messages):
            raise RequestError(
                f"The conversation has {len(session.messages)} messages; {request.keep} cannot be kept."
            )
        messages = (*session.messages[: request.keep], Message("user", request.message))
        prompt = Prompt(messages, self._plan(session, messages, request))
        if not self.fits(prompt):
            self._refuse_if_too_long(messages[-1], request)
        return prompt

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt and at least one token of the reply fit into the context."""
        return prompt.num_tokens < self._context_length

    def _refuse_if_too_long(self, message: Message, request: TurnRequest) -> None:
        """Raise MessageTooLong if `message` would not even fit into an empty conversation."""
        alone = self._plan(Session(), (message,), request)
        if len(alone.new_tokens) >= self._context_length:
            raise MessageTooLong(
                f"The message has {len(alone.new_tokens):,} tokens with its system prompt, but the "
                f"model's context holds {self._context_length:,}; shorten it or send it in parts."
            )

    def _plan(self, session: Session, messages: tuple[Message, ...], request: TurnRequest) -> Plan:
        tokens = session.sequence.tokens

        def encode(text: str, num_before: int) -> list[int]:
            continues = num_before > 0 and tokens[num_before - 1] not in self._special_ids
            return self._tokenizer.encode(text, continues=continues)

        return session.ledger.plan(self._render(messages, request), tokens, encode)

    def _render(self, messages: tuple[Message, ...], request: TurnRequest) -> str:
        if request.session_id is None:
            return self._tokenizer.escape(request.message)
        if self._template is None:
            return self._tokenizer.escape("".join(message.content for message in messages))
        system = (Message("system", request.system),) if request.system else ()
        escaped = [
            message._replace(content=self._tokenizer.escape(message.content))
            for message in (*system, *messages)
        ]
        return self._template.render(escaped, **request.template_options)
