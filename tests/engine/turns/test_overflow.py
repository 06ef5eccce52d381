"""A context that is full: whole oldest turns are hidden, the rest goes on as if it were all."""

from collections.abc import Callable

import pytest

from engine.errors import MessageTooLong
from engine.events import FinishReason
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import Asked, Rig

Rigs = Callable[..., Rig]

CONTEXT = 200
SYSTEM = "Be kind."
SHORT = SamplingParams(temperature=0, max_tokens=10)


def talk(rig: Rig, count: int, first: int = 0) -> list[Asked]:
    return [
        rig.chat(f"message {number}", params=SHORT, system=SYSTEM)
        for number in range(first, first + count)
    ]


def until_hidden(rig: Rig) -> Asked:
    for number in range(20):
        asked = rig.chat(f"message {number}", params=SHORT, system=SYSTEM)
        if asked.figures.first_visible:
            return asked
    raise AssertionError("the context never got full")


def small(rigs: Rigs, **options: object) -> Rig:
    return rigs(context_length=CONTEXT, choose=endless, num_blocks=256, **options)


def text_of(rig: Rig) -> str:
    return rig.tokenizer.decode(rig.tokens())


def test_whole_oldest_turns_are_hidden_and_the_system_prompt_stays(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    first = asked.figures.first_visible
    assert first % 2 == 0, "a turn is two messages"
    assert asked.figures.note is not None
    assert f"message {first + 1}" in asked.figures.note
    text = text_of(rig)
    assert text.startswith(f"system\n{SYSTEM}\nuser\nmessage {first // 2}\n")
    assert text.count("\nuser\nmessage") == len(rig.session().messages) // 2 - first // 2
    assert len(rig.tokens()) <= CONTEXT


def test_nobody_loses_what_they_see(rigs: Rigs) -> None:
    rig = small(rigs)
    until_hidden(rig)
    users = [m.content for m in rig.session().messages[::2]]
    assert users == [f"message {number}" for number in range(len(users))]


def test_the_reply_is_that_of_a_conversation_which_began_there(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    visible = rig.session().messages[asked.figures.first_visible :]
    prompt = "".join(
        f"<|im_start|>{role}\n{content}<|im_end|>\n"
        for role, content in [("system", SYSTEM), *visible[:-1]]
    )
    context = rig.tokenizer.encode(f"{prompt}<|im_start|>assistant\n")
    tokens = rig.tokens()
    replayed = [endless(tokens[:i]) for i in range(len(tokens) - 10, len(tokens))]
    assert replayed == tokens[-10:]
    assert rig.tokenizer.decode(tokens[:-10]) == rig.tokenizer.decode(context)


def test_about_half_of_the_context_is_free_again(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    figures = asked.figures
    assert figures.reused_tokens + figures.prefilled_tokens <= CONTEXT // 2 + 20
    (later,) = talk(rig, 1, first=50)
    assert later.figures.first_visible == figures.first_visible, "until it is full again"
    assert later.figures.prefilled_tokens < 50


def test_a_conversation_can_overflow_many_times(rigs: Rigs) -> None:
    rig = small(rigs)
    seen = [a.figures.first_visible for a in talk(rig, 25)]
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert all(a.reason is FinishReason.LENGTH and a.text for a in rig.asked)
    assert text_of(rig).startswith(f"system\n{SYSTEM}\n")


def test_a_message_too_long_by_itself_is_refused_and_changes_nothing(rigs: Rigs) -> None:
    rig = small(rigs)
    talk(rig, 3)
    before = (rig.session().messages, rig.tokens(), rig.sequence().num_cached_tokens)
    with pytest.raises(MessageTooLong, match=f"{CONTEXT}"):
        rig.begin("x" * CONTEXT, system=SYSTEM)
    assert (rig.session().messages, rig.tokens(), rig.sequence().num_cached_tokens) == before
    assert rig.chat("short", params=SHORT, system=SYSTEM).text


def test_a_message_that_fills_most_of_the_context_hides_all_others(rigs: Rigs) -> None:
    rig = small(rigs)
    talk(rig, 3)
    asked = rig.chat("x" * 130, params=SHORT, system=SYSTEM)
    assert asked.figures.first_visible == 6
    assert "message" not in text_of(rig)
    assert asked.text


def test_one_message_that_fills_most_of_the_context_keeps_its_kv(rigs: Rigs) -> None:
    rig = small(rigs)
    rig.chat("x" * 120, params=SHORT, system=SYSTEM)
    rig.rest()
    asked = rig.chat("ab", params=SHORT, system=SYSTEM)
    assert asked.figures.first_visible == 0
    assert asked.figures.prefilled_tokens <= len("\nuser\nab\nassistant\n") + 5


def test_editing_a_hidden_message_shows_it_and_what_was_before(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    assert asked.figures.first_visible >= 4
    edited = rig.chat("edited", params=SHORT, system=SYSTEM, keep=2)
    assert edited.figures.first_visible == 0
    assert text_of(rig) == first_turn(rig) + f"user\nedited\nassistant\n{edited.text}"


def first_turn(rig: Rig) -> str:
    """What the model is given of the first turn. (The replies of hidden turns are encoded again.)"""
    return f"system\n{SYSTEM}\nuser\nmessage 0\nassistant\n{rig.asked[0].text}\n"


def test_replies_that_stay_visible_are_not_encoded_again(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    first = asked.figures.first_visible // 2
    texts = [a.text for a in rig.asked[first:]]
    assert len(texts) > 1
    replies = [s.text for s in rig.session().active.ledger.segments if s.ends is not None]
    assert replies == texts


def test_starting_anew_after_an_overflow_hides_nothing(rigs: Rigs) -> None:
    rig = small(rigs)
    until_hidden(rig)
    anew = rig.chat("anew", params=SHORT, system=SYSTEM, keep=0)
    assert anew.figures.first_visible == 0
    assert "\nuser\nanew\n" in text_of(rig)


def test_regenerating_the_reply_of_an_overflow_gives_the_same(rigs: Rigs) -> None:
    rig = small(rigs)
    asked = until_hidden(rig)
    keep = len(rig.session().messages) - 2
    again = rig.chat(rig.session().messages[keep].content, params=SHORT, system=SYSTEM, keep=keep)
    assert again.text == asked.text
    assert again.figures.first_visible == asked.figures.first_visible
    assert again.figures.prefilled_tokens <= 1


def test_going_back_to_a_hidden_message_and_drafting_does_no_harm(rigs: Rigs) -> None:
    rig = small(rigs)
    until_hidden(rig)
    rig.core.show(rig.session(), rig.session().kept(2)[-1].id)
    rig.core.draft(rig.session(), "a draft", rig.asked[0].request.setting)
    rig.rest()
    asked = rig.chat("a draft", params=SHORT, system=SYSTEM)
    assert text_of(rig) == first_turn(rig) + f"user\na draft\nassistant\n{asked.text}"


def full(rigs: Rigs) -> Rig:
    """A conversation whose next prompt will not fit, with nothing done in idle time yet."""
    rig = small(rigs)
    while len(rig.tokens()) < CONTEXT - 60:
        rig.chat("message", params=SHORT, system=SYSTEM)
    rig.chat("x" * 20, params=SamplingParams(temperature=0, max_tokens=30), system=SYSTEM)
    return rig


def test_the_shortened_conversation_is_rebuilt_while_nobody_waits(rigs: Rigs) -> None:
    rig = full(rigs)
    rig.rest()
    asked = rig.chat("next", params=SHORT, system=SYSTEM)
    assert asked.figures.first_visible > 0
    assert asked.figures.prefilled_tokens <= len("next") + 15


def test_who_speaks_during_the_rebuilding_waits_for_one_chunk_at_most(rigs: Rigs) -> None:
    rig = full(rigs)
    idle = rig.core.parts.idle
    assert not idle.is_warm
    steps = len(rig.model.steps)
    idle.step()
    assert len(rig.model.steps) == steps + 1
    assert sum(rig.model.steps[-1].counts) <= 64
    asked = rig.begin("next", params=SHORT, system=SYSTEM)
    rig.core.step()
    assert rig.model.steps[-1].counts[0] > 1, "its prefill begins at once"
    rig.run()
    other = full(rigs)
    other.rest()
    assert asked.text == other.chat("next", params=SHORT, system=SYSTEM).text
