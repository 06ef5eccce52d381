"""What a turn reads again, with each chat template that is known: tokens that were in the KV before.

Owns: a conversation of three turns as the engine's prompts make it, without a model. Four kinds: plain
replies (thinking is off where a template knows that), replies with thoughts, a system prompt, and turns on
a later day than the first one's. What has to be read again is read while people read, as far as it is certain:
`waited_for` counts what is left when the next message comes.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.conversations import Branch, Session
from engine.scheduling import Sequence
from engine.text import (
    CLOSE_THOUGHTS,
    OPEN_THOUGHTS,
    THINKING,
    ChatTemplate,
    Ledger,
    Message,
    Plan,
    Renderer,
    Setting,
    Tokenizer,
    read_chat_template,
)
from engine.turns import PromptBuilder

_ROOT = Path(__file__).parent.parent
FOLDERS = (_ROOT / "tests" / "templates", _ROOT / "export" / "templates")
_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
_TURNS = 3
_ROOM = 1 << 20


@dataclass(frozen=True, slots=True)
class Talk:
    """A kind of conversation. days: by which the first turn is older than the others."""

    thoughts: str = ""
    system: str | None = None
    days: int = 0


TALKS = {
    "plain": Talk(),
    "thoughts": Talk(thoughts="They ask for a number; it is easy to tell."),
    "system prompt": Talk(system="You are a teacher of arithmetic."),
    "another day": Talk(days=1),
}


@dataclass(frozen=True, slots=True)
class Again:
    """Tokens of a turn that had KV before. waited_for: those that are not read again ahead of it."""

    tokens: int
    waited_for: int


def known_templates() -> dict[str, ChatTemplate]:
    """The templates that the tests know, by name."""
    files = sorted(file for folder in FOLDERS for file in folder.glob("*.jinja"))
    return {file.stem: ChatTemplate(file.read_text("utf-8"), _TOKENS) for file in files}


def read_again(template: ChatTemplate, tokenizer: Tokenizer, talk: Talk) -> Again:
    """The most that a turn of such a talk reads again."""
    renderer = Renderer(tokenizer, template)
    prompts, session, branch = PromptBuilder(renderer, _ROOM), Session(), Branch()
    options = {THINKING: bool(talk.thoughts)} if template.can_think else {}
    setting, messages = Setting(talk.system, options), list[Message]()
    session.began_at = datetime.now().astimezone() - timedelta(days=talk.days)
    again = [Again(0, 0)]
    for number in range(_TURNS):
        question = f"What is the number behind {number}?"
        dated = session.dated(setting) if number else replace(setting, began_at=session.began_at)
        asked = [*messages, Message("user", question)]
        text = renderer.chat(asked, dated)
        answer = f"It is {number + 1}, of course."
        if messages:
            before = messages[-1].content.rpartition("\n")[2].strip()
            behind = text[text.rindex(before) + len(before) :]
            num_new = len(renderer.encode(behind, branch.sequence.tokens[-1]))
            at_once = prompts.chat(branch, messages, question, dated, 1).plan
            ahead = prompts.ahead(branch, messages, "", dated)
            if ahead is not None:
                _take(branch, ahead.plan, Ledger(ahead.plan.kept))
            plan = prompts.chat(branch, messages, question, dated, 1).plan
            again.append(Again(*(_more(p, num_new) for p in (at_once, plan))))
        else:
            plan = prompts.chat(branch, messages, question, dated, 1).plan
        _take(branch, plan, Ledger(plan.segments))
        reply = _reply(answer, talk.thoughts, renderer.opens_thoughts(text, asked))
        _say(branch, reply, renderer)
        messages = [*asked, Message("assistant", reply)]
    return max(again, key=lambda one: (one.tokens, one.waited_for))


def _more(plan: Plan, num_new: int) -> int:
    return max(len(plan.new_tokens) - num_new, 0)


def _take(branch: Branch, plan: Plan, ledger: Ledger) -> None:
    tokens = [*branch.sequence.tokens[: plan.num_kept], *plan.new_tokens]
    branch.sequence, branch.ledger = Sequence(tokens), ledger


def _reply(answer: str, thoughts: str, is_opened: bool) -> str:
    if not thoughts:
        return answer
    opening = "" if is_opened else f"{OPEN_THOUGHTS}\n"
    return f"{opening}{thoughts}\n{CLOSE_THOUGHTS}\n\n{answer}"


def _say(branch: Branch, reply: str, renderer: Renderer) -> None:
    """The reply's tokens behind the branch's, as if the model had said them."""
    tokens = renderer.encode(reply, branch.sequence.tokens[-1])
    ends = [round(len(reply) * (i + 1) / len(tokens)) for i in range(len(tokens))]
    branch.sequence.tokens += tokens
    branch.ledger = branch.ledger.with_reply(reply, ends)


def run(model_dir: Path) -> dict[str, Any]:
    """Print a table, return the figures. The model gives its tokenizer, and its template as `this model`."""
    tokenizer = Tokenizer(model_dir)
    templates = known_templates()
    if not tokenizer.has_channels:  # they say nothing without their own special tokens
        templates.pop("gpt-oss")
    if (own := read_chat_template(model_dir)) is not None:
        templates = {"this model": own} | templates
    result: dict[str, Any] = {}
    print(f"{'tokens read again by a turn':<28}" + "".join(f"{name:>16}" for name in TALKS))
    for name, template in templates.items():
        figures = {kind: read_again(template, tokenizer, talk) for kind, talk in TALKS.items()}
        result[name] = {
            kind: {"tokens": one.tokens, "waited_for": one.waited_for}
            for kind, one in figures.items()
        }
        print(f"{name:<28}" + "".join(f"{_shown(one):>16}" for one in figures.values()))
    print("In brackets: what of it is left for when the next message comes.")
    return result


def _shown(again: Again) -> str:
    return f"{again.tokens} ({again.waited_for})" if again.tokens else "0"
