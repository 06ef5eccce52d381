"""Titles: what of the model's words is one, and that making one costs the conversation nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.batch import Inputs
from engine.scheduling.sampling import SamplingParams
from engine.text.chat_template import Message
from engine.turns.titles import (
    ENGLISH,
    SIMPLIFIED,
    TRADITIONAL,
    Wording,
    is_about,
    title_of,
    wording_for,
)
from tests.engine.fakes import EOS, babble, endless
from tests.engine.rig import Rig, make_rig, make_stored_rig, session_id

SHORT = SamplingParams(temperature=0, max_tokens=12)
ASKED = list(ENGLISH.opening.encode())


def titling(title: str) -> Callable[[list[int]], int]:
    """A model that babbles, except where it is asked for a title."""

    def choose(context: list[int]) -> int:
        begin = "".join(map(chr, (t for t in context if t < 256))).rfind(ENGLISH.opening)
        if begin < 0:
            return babble(context)
        places = [i for i in range(len(context)) if context[i : i + len(ASKED)] == ASKED]
        said = len(context) - places[-1] - len(ASKED)
        return title.encode()[said] if said < len(title.encode()) else EOS

    return choose


Make = Callable[..., Rig]


@pytest.fixture
def stored(tmp_path: Path) -> Make:
    def make(title: str = 'Hello there"', **options: object) -> Rig:
        return make_stored_rig(tmp_path, num_blocks=256, choose=titling(title), **options)

    return make


def title(rig: Rig, name: str = "one") -> str:
    """The title that the store has, once it is written."""
    journal = rig.home.journal
    journal._writer.submit(int).result(10)
    assert journal.store is not None
    stored = journal.store.load(*session_id(name))
    assert stored is not None
    return stored.title


def rest_without_saving(rig: Rig) -> None:
    rig.rest()
    rig.check()


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('Capital of France"', "Capital of France"),
        ('Capital of France."\n', "Capital of France"),
        ("**Capital of France**\nThat was easy.", "Capital of France"),
        ('Title: "Capital of France', None),  # it was not at its end yet
        ("\n# Title: Capitals\n", "Capitals"),
        ("<think>\nThey ask for a title.\n</think>\n\nCapitals\n", "Capitals"),
        ("<think>\nThey ask for", None),
        ("  spaced \t out  \n", "spaced out"),
        ("It's a dog's life\n", "It's a dog's life"),
        ('C++"', "C++"),
        ('"', None),
        ("?!\n", None),
        ("x" * 61 + "\n", None),
        ("Here is a title:\nCapitals\n", None),
        ("Sure, I can help\n", None),
        ("A: A: A: A: A:\n", None),
        ("half a character \ufffd\n", None),
    ],
)
def test_what_is_a_title_and_what_is_not(said: str, title: str | None) -> None:
    if title == "C++":
        title = None  # a single letter says too little
    assert title_of(said, ENGLISH) == title


@pytest.mark.parametrize("wording", [SIMPLIFIED, TRADITIONAL])
def test_chinese_titles_end_at_their_own_mark(wording: Wording) -> None:
    assert title_of("法国的首都》。", wording) == "法国的首都"
    assert title_of("标题：巴黎之旅。\n", wording) == "巴黎之旅"
    assert title_of("好的，标题是巴黎\n", wording) is None


def test_the_question_is_asked_in_the_language_of_the_conversation() -> None:
    assert wording_for("What is 'bonjour'?") is ENGLISH
    assert wording_for("法国的首都是哪里？") is SIMPLIFIED
    assert wording_for("法國的首都是哪裡？") is TRADITIONAL
    assert wording_for("Python 里怎么反转列表?") is SIMPLIFIED


def test_a_title_about_something_else_is_none() -> None:
    talk = [Message("user", "Why is the sky blue?"), Message("assistant", "Light is scattered.")]
    assert is_about("The Scattering of Light", talk)
    assert not is_about("The Greatest Story Ever Told", talk)
    chinese = [Message("user", "法国的首都是哪里？"), Message("assistant", "巴黎。")]
    assert is_about("法国首都", chinese)
    assert not is_about("最美的故事", chinese)


def test_the_model_names_a_conversation_after_its_first_answer(stored: Make) -> None:
    rig = stored()
    rig.chat("Hello you")
    assert title(rig) == ""
    rest_without_saving(rig)
    assert title(rig) == "Hello there"


def test_the_next_turn_is_what_it_would_have_been_without_a_title(stored: Make) -> None:
    rig, plain = stored(), make_rig(num_blocks=256, choose=titling(""))
    for message in ("Hello you", "And now?", "Thanks"):
        asked, fresh = rig.chat(message), plain.chat(message)
        before = rig.sequence().tokens, rig.session().active.ledger, rig.pool.num_used
        rest_without_saving(rig)
        plain.rest()
        assert asked.text == fresh.text
        assert asked.figures.prefilled_tokens == fresh.figures.prefilled_tokens
        assert asked.figures.reused_tokens == fresh.figures.reused_tokens
        assert (rig.sequence().tokens, rig.session().active.ledger) == before[:2]
        assert rig.sequence().num_cached_tokens == plain.sequence().num_cached_tokens
        assert rig.pool.num_used == plain.pool.num_used + 1  # for verifying snapshots
    assert title(rig) == "Hello there"


def test_the_conversation_is_not_prefilled_again_for_its_title(stored: Make) -> None:
    rig = stored()
    rig.chat("Hello you, " * 20, params=SHORT)
    idle = rig.core.parts.idle
    while idle._ahead.has_work:
        idle.step()
    steps = len(rig.model.steps)
    rest_without_saving(rig)
    made = [sum(step.counts) for step in rig.model.steps[steps:]]
    asking = len(ENGLISH.instruction + ENGLISH.opening + "<|im_start|>assistant\n")
    assert sum(made) <= asking + 20
    assert made[-11:] == [1] * 11, "one token at a time"


def test_a_request_in_the_midst_of_a_title_waits_for_no_step_and_finds_all_blocks(
    stored: Make,
) -> None:
    rig, plain = stored(), make_rig(num_blocks=256, choose=titling(""))
    rig.chat("Hello you", params=SHORT)
    plain.chat("Hello you", params=SHORT)
    plain.rest()
    idle = rig.core.parts.idle
    while not idle.titles.own_tables:
        idle.step()
    idle.step()
    rig.check()
    asked = rig.begin("And now?", params=SHORT)
    assert idle.titles.own_tables == []
    rig.check()
    rig.run()
    fresh = plain.chat("And now?", params=SHORT)
    assert (asked.text, asked.figures.prefilled_tokens) == (
        fresh.text,
        fresh.figures.prefilled_tokens,
    )
    rest_without_saving(rig)
    assert title(rig) == "Hello there"


def test_what_is_typed_in_the_midst_of_a_title_is_prefilled_first(stored: Make) -> None:
    rig = stored()
    rig.chat("Hello you", params=SHORT)
    idle = rig.core.parts.idle
    while not idle.titles.own_tables:
        idle.step()
    rig.core.draft(rig.session(), "Please tell me more about it", rig.asked[0].request.setting)
    idle.step()
    assert not idle._ahead.has_work
    rig.check()
    rest_without_saving(rig)
    plain = make_rig(num_blocks=256, choose=titling(""))
    plain.chat("Hello you", params=SHORT)
    asked, fresh = (r.chat("Please tell me more about it") for r in (rig, plain))
    assert asked.text == fresh.text
    assert title(rig) == "Hello there"


def test_a_name_that_somebody_chose_stays(stored: Make) -> None:
    rig = stored()
    store = rig.home.journal.store
    assert store is not None
    rig.chat("Hello you")
    idle = rig.core.parts.idle
    while not idle.titles.own_tables:
        idle.step()
    store.rename(*session_id(), "Mine")
    rest_without_saving(rig)
    assert title(rig) == "Mine"
    steps = len(rig.model.steps)
    rig.chat("Again")
    while idle._ahead.has_work:
        idle.step()
    steps = len(rig.model.steps)
    rest_without_saving(rig)
    assert len(rig.model.steps) == steps, "who has a name is not asked for another"


def test_an_answer_that_was_cut_off_brings_no_title(stored: Make) -> None:
    rig = stored()
    asked = rig.begin("Hello you")
    rig.core.step()
    asked.request.cancelled = True
    rig.run()
    rest_without_saving(rig)
    assert title(rig) == ""


def test_poor_words_are_no_title_and_another_answer_is_another_chance(stored: Make) -> None:
    rig = stored("Sure, here it is\n")
    rig.chat("Hello you")
    rest_without_saving(rig)
    assert title(rig) == ""
    rig.model.choose = titling('Hello again"')
    rig.chat("Go on")
    rest_without_saving(rig)
    assert title(rig) == "Hello again"


def test_titles_can_be_switched_off(stored: Make) -> None:
    rig = stored(titles=False)
    rig.chat("Hello you")
    rest_without_saving(rig)
    assert title(rig) == ""


def test_a_deleted_conversation_gets_no_title_and_keeps_no_block(stored: Make) -> None:
    rig = stored()
    used = rig.pool.num_used
    rig.chat("Hello you")
    idle = rig.core.parts.idle
    while not idle.titles.own_tables:
        idle.step()
    session = rig.home.sessions.remove(session_id())
    assert session is not None
    rig.core.forget(session)
    assert rig.pool.num_used == used
    assert not idle.titles.has_work
    rig.check()


def test_nobody_is_evicted_for_a_title(tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path, num_blocks=30, choose=endless)
    for name in ("one", "two"):
        rig.chat("Hello you", name, SHORT)
    kept = {name: list(rig.sequence(name).block_table) for name in ("one", "two")}
    assert all(kept.values())
    rest_without_saving(rig)
    assert {name: rig.sequence(name).block_table[:5] for name in kept} == {
        name: table[:5] for name, table in kept.items()
    }
    assert title(rig, "two") == ""


def test_a_title_that_fails_is_given_up_and_costs_nothing_else(stored: Make) -> None:
    rig = stored()
    rig.chat("Hello you", params=SHORT)
    idle = rig.core.parts.idle
    while idle._ahead.has_work:
        idle.step()

    def broken(_inputs: Inputs) -> None:
        raise RuntimeError("out of luck")

    rig.model.before = broken
    rest_without_saving(rig)
    rig.model.before = None
    plain = make_rig(num_blocks=256, choose=titling(""))
    plain.chat("Hello you", params=SHORT)
    assert rig.chat("And now?").text == plain.chat("And now?").text


def test_a_title_does_not_keep_a_spilled_conversation_from_the_disk(stored: Make) -> None:
    rig = stored()
    rig.chat("Hello you", params=SHORT)
    idle = rig.core.parts.idle
    while idle._ahead.has_work:
        idle.step()
    rig.spill()
    steps = len(rig.model.steps)
    rest_without_saving(rig)
    assert len(rig.model.steps) == steps, "without KV there is nothing to fork"
    assert rig.chat("And now?").figures.source == "disk"
