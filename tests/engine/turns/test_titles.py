"""Titles: that making one costs the conversation nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.batch import Inputs
from engine.scheduling.sampling import SamplingParams
from engine.turns.title_words import ENGLISH
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
    journal.flush(10)
    assert journal.store is not None
    stored = journal.store.load(*session_id(name))
    assert stored is not None
    return stored.title


def rest_without_saving(rig: Rig) -> None:
    rig.rest()
    rig.check()


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
