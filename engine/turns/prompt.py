"""From a request to the tokens of its prompt: what stays of a branch, what is new, what is hidden.

Owns: the rules about messages (empty, too long) and the overflow policy: when a conversation no
longer fits into the context, whole oldest turns are hidden, the system prompt stays. Pure with
respect to sessions: nothing is changed, so a refused request leaves everything as it was.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.conversations import Branch
from engine.errors import EmptyMessage, MessageTooLong
from engine.text import MARK, Ledger, Message, Plan, Renderer, ReplyText, Setting

REPLY_TOO_LONG = (
    "The answer fills the model's context ({limit:,} tokens) and cannot go on; "
    "ask for the rest in a new conversation."
)
ANSWER_TOO_LONG = (
    "The answer has {tokens:,} tokens, but the model's context holds {limit:,}; shorten it."
)

_UNSETTLED_TOKENS = 4  # the last tokens of a draft, which the next key may change


@dataclass(frozen=True, slots=True)
class Prompt:
    """The way to a prompt's tokens, and how many messages at the beginning are left out of it.

    opens_thoughts: the reply begins inside the model's thoughts.
    """

    plan: Plan
    num_hidden: int
    opens_thoughts: bool = False

    @property
    def num_tokens(self) -> int:
        """Tokens in front of the reply."""
        return self.plan.num_kept + len(self.plan.new_tokens)


class PromptBuilder:
    """Says what of a prompt a branch has not encoded yet."""

    def __init__(self, renderer: Renderer, context_length: int) -> None:
        self._renderer = renderer
        self._context_length = context_length

    @property
    def has_template(self) -> bool:
        """Whether the model was trained to chat."""
        return self._renderer.has_template

    @property
    def can_think(self) -> bool:
        """Whether the option `enable_thinking` says if the model thinks first."""
        return self._renderer.can_think

    def operator_tokens(self) -> list[int]:
        """The tokens that every conversation which begins now begins with."""
        return self._renderer.operator_tokens()

    def reply_text(
        self, context: Sequence[int], stop: Sequence[str] = (), earlier: str = ""
    ) -> ReplyText:
        """The text of a reply behind the tokens `context`, going on from what people see of it."""
        return self._renderer.reply_text(context, stop, earlier)

    def chat(
        self,
        branch: Branch,
        before: Sequence[Message],
        message: str,
        setting: Setting,
        max_tokens: int,
    ) -> Prompt:
        """The prompt for `message` behind the messages `before`.

        Room is left for the reply: `max_tokens`, a quarter of the context at most. Raises
        EmptyMessage, MessageTooLong or RequestError.
        """
        self._refuse_empty(message)
        messages = [*before, Message("user", message)]
        prompt = self._fitting(branch, messages, setting, max_tokens)
        if prompt.num_tokens >= self._context_length:
            raise self._too_long(prompt.num_tokens)
        return prompt

    def more(
        self, branch: Branch, messages: Sequence[Message], setting: Setting, max_tokens: int
    ) -> Prompt:
        """The prompt for more of the last of the messages, a reply.

        Raises MessageTooLong or RequestError.
        """
        prompt = self._fitting(branch, messages, setting, max_tokens)
        if prompt.num_tokens >= self._context_length:
            raise MessageTooLong(REPLY_TOO_LONG.format(limit=self._context_length))
        return prompt

    def completion(self, branch: Branch, text: str) -> Prompt:
        """The prompt for plain text without a template. Raises EmptyMessage or MessageTooLong."""
        self._refuse_empty(text)
        plan = self._plan(branch, self._renderer.completion(text))
        prompt = Prompt(plan, 0)
        if prompt.num_tokens >= self._context_length:
            raise self._too_long(prompt.num_tokens)
        return prompt

    def check_reply(self, text: str) -> None:
        """Raise EmptyMessage or MessageTooLong if a reply cannot say this."""
        if self._renderer.is_empty(text):
            raise EmptyMessage("The answer is empty; write something first.")
        num_tokens = len(self._renderer.encode(self._renderer.completion(text), None))
        if num_tokens >= self._context_length:
            limit = self._context_length
            raise MessageTooLong(ANSWER_TOO_LONG.format(tokens=num_tokens, limit=limit))

    def num_reply_tokens(self, text: str) -> int:
        """Tokens of a reply that a person wrote, as the end of a prompt."""
        return len(self._renderer.encode_reply(text))

    def ahead(
        self, branch: Branch, before: Sequence[Message], draft: str, setting: Setting
    ) -> Prompt | None:
        """What is certain already of the next prompt: the text up to the end of the draft.

        None when nothing can be said yet: the template changes what it is given, all but the next
        message may have to be hidden, or the last reply has no word and may be made anew.
        """
        if before and before[-1].is_silence and not draft:
            return None
        messages = [*before, Message("user", draft + MARK)]
        room = self._context_length - self._context_length // 4
        prompt = self._cut_prompt(branch, messages, setting, _still_hidden(branch, before))
        if prompt is not None and prompt.num_tokens > room:
            hidden = self._shortened(branch, messages, setting).num_hidden
            if hidden >= len(before):  # with a shorter reply than a quarter it may all stay
                return None
            prompt = self._cut_prompt(branch, messages, setting, hidden)
        if prompt is None or prompt.num_tokens > room:
            return None
        plan = prompt.plan
        said = max(Ledger(plan.kept).num_tokens - plan.num_kept, 0)  # replies behind a gap
        settled = max(len(plan.new_tokens) - (_UNSETTLED_TOKENS if draft else 0), said)
        plan = replace(plan, new_tokens=plan.new_tokens[:settled])
        return Prompt(plan, prompt.num_hidden)

    def _fitting(
        self, branch: Branch, messages: Sequence[Message], setting: Setting, max_tokens: int
    ) -> Prompt:
        """The prompt with room for the reply, if hiding the oldest turns makes any."""
        room = self._context_length - min(max_tokens, self._context_length // 4)
        prompt = self._prompt(branch, messages, setting, _still_hidden(branch, messages[:-1]))
        return prompt if prompt.num_tokens <= room else self._shortened(branch, messages, setting)

    def _shortened(self, branch: Branch, messages: Sequence[Message], setting: Setting) -> Prompt:
        """The prompt without as many oldest turns as it takes to fill half the context at most."""
        turns = [i for i, message in enumerate(messages) if message.role == "user"]
        turns = [i for i in turns if i >= _still_hidden(branch, messages[:-1])]
        target = self._context_length // 2

        def is_small_enough(first: int) -> bool:
            return self._prompt(branch, messages, setting, first).num_tokens <= target

        chosen = bisect_left(turns[:-1], True, key=is_small_enough)
        return self._prompt(branch, messages, setting, turns[chosen])

    def _cut_prompt(
        self, branch: Branch, messages: Sequence[Message], setting: Setting, num_hidden: int
    ) -> Prompt | None:
        text = self._renderer.chat(messages[num_hidden:], setting)
        if MARK not in text:
            return None
        return Prompt(self._plan(branch, text.partition(MARK)[0]), num_hidden)

    def _prompt(
        self, branch: Branch, messages: Sequence[Message], setting: Setting, num_hidden: int
    ) -> Prompt:
        text = self._renderer.chat(messages[num_hidden:], setting)
        opens_thoughts = self._renderer.opens_thoughts(text, messages)
        return Prompt(self._plan(branch, text), num_hidden, opens_thoughts)

    def _plan(self, branch: Branch, text: str) -> Plan:
        return branch.ledger.plan(text, branch.sequence.tokens, self._renderer.encode)

    def _refuse_empty(self, message: str) -> None:
        if self._renderer.is_empty(message):
            raise EmptyMessage("The message is empty; write something first.")

    def _too_long(self, num_tokens: int) -> MessageTooLong:
        return MessageTooLong(
            f"The message has {num_tokens:,} tokens with its system prompt, but the model's "
            f"context holds {self._context_length:,}; shorten it or send it in parts."
        )


def _still_hidden(branch: Branch, before: Sequence[Message]) -> int:
    """Messages that stay hidden; none where an edit went back to before the first visible one."""
    return branch.num_hidden if branch.num_hidden < len(before) else 0
