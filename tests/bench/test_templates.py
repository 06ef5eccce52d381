"""What turns read again with each chat template of tests/templates, in tokens that are bytes."""

from typing import cast

import pytest

from bench.templates import TALKS, known_templates, read_again
from engine.text import Message, Tokenizer
from engine.text.chat_template import ChatTemplate
from tests.engine.fakes import CHATML, FakeTokenizer

KNOWN = known_templates()
# It wants its own special tokens, which tests/engine/turns/test_channels.py has.
IN_CHANNELS = {"gpt-oss"}
MOVES_ITS_SYSTEM_PROMPT = {"mistral-v0.3"}
TOKENIZER = cast(Tokenizer, FakeTokenizer())


def test_the_families_of_this_field_are_known() -> None:
    assert len(KNOWN) >= 20
    assert {"llama-3.2", "qwen3", "deepseek-r1-distill", "chatglm3"} <= KNOWN.keys()


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - IN_CHANNELS))
@pytest.mark.parametrize("kind", TALKS)
def test_nothing_is_read_again_when_the_next_message_comes(name: str, kind: str) -> None:
    again = read_again(KNOWN[name], TOKENIZER, TALKS[kind])
    assert again.waited_for == 0
    if not (kind == "thoughts" or (kind == "system prompt" and name in MOVES_ITS_SYSTEM_PROMPT)):
        assert again.tokens == 0


@pytest.mark.parametrize("name", ["qwen3", "qwq", "deepseek-r1-distill"])
def test_an_answer_whose_thoughts_go_is_all_that_is_read_again(name: str) -> None:
    again = read_again(KNOWN[name], TOKENIZER, TALKS["thoughts"])
    assert 0 < again.tokens <= len("\n\nIt is 2, of course.")


def test_a_template_that_changes_its_beginning_is_seen_to_be_read_again() -> None:
    counting = ChatTemplate("{{ messages | length }}" + CHATML, {})
    again = read_again(counting, TOKENIZER, TALKS["plain"])
    assert again.tokens > 100
    assert again.waited_for == 0, "the next message changes no length"


@pytest.mark.parametrize(
    "name", ["gemma-2", "mistral-v0.1", "phi-3", "mistral-v0.3", "llama-3.2", "qwen3"]
)
def test_no_family_refuses_or_drops_a_system_prompt(name: str) -> None:
    template = KNOWN[name]
    assert template.knows_system == (name not in {"gemma-2", "mistral-v0.1", "phi-3"})
    talk = [Message("system", "Be brief."), Message("user", "One")]
    later = [*talk, Message("assistant", "1"), Message("user", "Two")]
    assert all(template.render(messages).count("Be brief.") == 1 for messages in (talk, later))
