"""An answer that was stopped before its first word does not teach the model to say nothing."""

from collections.abc import Callable

import pytest

from engine.events import FinishReason
from engine.text.rendering import Setting
from tests.engine.fakes import CHATML, saying
from tests.engine.rig import Rig

Rigs = Callable[..., Rig]
# As those of many models: whose turn it is has to alternate.
STRICT = (
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}" + CHATML
)


def stopped_at_once(rig: Rig, message: str) -> None:
    asked = rig.begin(message)
    asked.request.cancelled = True
    rig.step()
    assert asked.reason is FinishReason.CANCELLED
    assert asked.text == ""


@pytest.mark.parametrize("template", [CHATML, STRICT])
def test_the_questions_around_it_are_one_message(rigs: Rigs, template: str) -> None:
    rig = rigs(num_blocks=256, choose=saying("fine"), template=template)
    stopped_at_once(rig, "One")
    stopped_at_once(rig, "Two")
    assert rig.chat("Three").text == "fine"
    said = "user\nOne\n\nTwo\n\nThree\nassistant\nfine"
    assert rig.tokenizer.decode(rig.tokens()) == said
    roles = [message.role for message in rig.session().messages]
    assert roles == ["user", "assistant"] * 3, "the page shows all of it"


def test_what_was_read_before_the_stop_is_not_read_again(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("fine"))
    long = "a long message " * 8
    asked = rig.begin(long)
    while rig.sequence().num_cached_tokens < len(rig.tokenizer.encode(long)):
        rig.step()
    asked.request.cancelled = True
    rig.step()
    assert asked.text == ""
    again = rig.chat("Go on")
    assert again.figures.reused_tokens >= len(rig.tokenizer.encode(long))
    assert again.figures.prefilled_tokens < 60


def test_its_answer_can_be_made_anew_and_go_on(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("fine"))
    stopped_at_once(rig, "One")
    assert rig.more().text == "fine"
    assert rig.chat("One", keep=0).text == "fine"


def test_a_draft_behind_it_is_read_ahead_as_it_will_be_said(rigs: Rigs) -> None:
    rig = rigs(num_blocks=256, choose=saying("fine"))
    stopped_at_once(rig, "One")
    rig.core.draft(rig.session(), "a draft of several words", Setting())
    rig.rest()
    asked = rig.chat("a draft of several words")
    assert asked.figures.prefilled_tokens < 50
    assert asked.figures.reused_tokens > 30
