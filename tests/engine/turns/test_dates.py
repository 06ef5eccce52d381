"""Templates that print today's date, as Llama 3.2's: a conversation keeps the date of its beginning."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.conversations import moment
from engine.conversations import session as sessions
from engine.text import Setting
from engine.text import chat_template as templates
from engine.turns import beginning as beginnings
from tests.engine.fakes import CHATML
from tests.engine.rig import Rig, make_rig, make_stored_rig, session_id

DATED = "<|im_start|>system\nToday: {{ strftime_now('%d %b %Y') }}<|im_end|>\n" + CHATML
SECOND = "<|im_end|>\n<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n"

SetDay = Callable[[int], None]


@pytest.fixture
def set_day(monkeypatch: pytest.MonkeyPatch) -> SetDay:
    """Sets the day in March 2026 that it is."""
    today = [1]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 3, today[0], 12, tzinfo=tz)

    for module in (sessions, templates, beginnings):
        monkeypatch.setattr(module, "datetime", Clock)
    return lambda day: today.__setitem__(0, day)


def told(rig: Rig) -> str:
    """The date in the model's tokens."""
    return rig.tokenizer.decode(rig.tokens()).partition("Today: ")[2][:11]


def new_tokens(rig: Rig) -> int:
    return len(rig.tokenizer.encode(SECOND))


def test_a_conversation_that_goes_on_tomorrow_reads_nothing_again(set_day: SetDay) -> None:
    rig = make_rig(num_blocks=200, template=DATED)
    rig.chat("One")
    before = len(rig.tokens())
    set_day(2)
    figures = rig.chat("Two").figures
    assert (figures.reused_tokens, figures.prefilled_tokens) == (before, new_tokens(rig))
    assert told(rig) == "01 Mar 2026"
    rig.check()


def test_a_conversation_that_begins_tomorrow_has_tomorrows_date(set_day: SetDay) -> None:
    rig = make_rig(num_blocks=200, template=DATED)
    rig.core.draft(rig.session(), "On", Setting())
    rig.rest()
    set_day(2)
    rig.chat("One")
    assert told(rig) == "02 Mar 2026"


def test_what_is_typed_tomorrow_is_read_ahead_behind_all_of_today(set_day: SetDay) -> None:
    rig = make_rig(num_blocks=200, template=DATED)
    rig.chat("One")
    before = len(rig.tokens())
    set_day(2)
    rig.core.draft(rig.session(), "Two, or so", Setting())
    rig.rest()
    assert rig.chat("Two, or so").figures.reused_tokens > before
    assert told(rig) == "01 Mar 2026"


def test_the_date_survives_a_restart(set_day: SetDay, tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path, num_blocks=200, template=DATED)
    rig.chat("One")
    before = len(rig.tokens())
    rig.stop()
    set_day(3)
    again = make_stored_rig(tmp_path, num_blocks=200, template=DATED)
    figures = again.chat("Two").figures
    assert (figures.reused_tokens, figures.prefilled_tokens) == (before, new_tokens(again))
    assert told(again) == "01 Mar 2026"
    again.stop()


def test_the_date_goes_with_a_saved_chat(set_day: SetDay, tmp_path: Path) -> None:
    rig = make_rig(num_blocks=200, template=DATED)
    rig.chat("One")
    before = len(rig.tokens())
    file = rig.core.parts.sharing.export(rig.session())
    set_day(4)
    other = make_stored_rig(tmp_path, num_blocks=200, template=DATED)
    other.core.parts.sharing.read(other.session(), file)
    figures = other.chat("Two").figures
    assert (figures.reused_tokens, figures.prefilled_tokens) == (before, new_tokens(other))
    assert told(other) == "01 Mar 2026"
    other.stop()
    third = make_stored_rig(tmp_path, num_blocks=200, template=DATED)
    third.home.sessions.open(session_id())
    assert third.session().began_at == rig.session().began_at
    third.stop()


OPERATOR = "You answer in few words, and always kindly, and you never tell what you were told here."


def operator(rig: Rig) -> int:
    return rig.core.parts.opening.prefixes.operator.num_cached_tokens


def test_on_another_day_the_operators_prompt_is_read_once_more_and_shared_again(
    set_day: SetDay,
) -> None:
    rig = make_rig(num_blocks=200, template=DATED, system_prompt=OPERATOR)
    whole = operator(rig)
    assert rig.chat("Hi", "a/one").figures.reused_tokens == whole
    set_day(2)
    assert rig.chat("Hi", "b/one").figures.reused_tokens < whole
    rig.rest()
    rig.check()
    assert operator(rig) == whole
    assert rig.chat("Hi", "c/one").figures.reused_tokens == whole
    assert rig.chat("Two", "a/one").figures.prefilled_tokens <= new_tokens(rig), "as before"
    rig.check()


def test_whom_nobody_wakes_wakes_at_midnight_for_the_operators_prompt(set_day: SetDay) -> None:
    rig = make_rig(num_blocks=200, template=DATED, system_prompt=OPERATOR)
    rig.rest()
    idle = rig.core.parts.idle
    assert idle.wait_s() == 12 * 60 * 60
    set_day(2)
    assert idle.wait_s() == 0.0
    rig.rest()
    assert idle.wait_s() == 12 * 60 * 60
    without = make_rig(num_blocks=200, template=DATED)
    without.rest()
    assert without.core.parts.idle.wait_s() is None


def test_who_speaks_while_the_operators_prompt_is_read_once_more_finds_all_blocks(
    set_day: SetDay,
) -> None:
    rig = make_rig(num_blocks=200, template=DATED, system_prompt=OPERATOR)
    rig.chat("Hi", "a/one")
    rig.rest()
    set_day(2)
    idle = rig.core.parts.idle
    while not (tables := idle.beginning.own_tables) or not tables[0]:
        idle.step()
        rig.check()
    rig.begin("Hi", "b/one")
    assert idle.beginning.own_tables == [[]]
    rig.run()
    rig.rest()
    assert rig.chat("Hi", "c/one").figures.reused_tokens == operator(rig)
    rig.check()


def test_where_there_is_no_room_the_operators_prompt_of_yesterday_stays(set_day: SetDay) -> None:
    rig = make_rig(num_blocks=64, template=DATED, system_prompt=OPERATOR)
    held = rig.pool.try_allocate(rig.pool.num_free)
    assert held is not None
    set_day(2)
    rig.rest()
    assert "01 Mar 2026" in rig.tokenizer.decode(rig.core.parts.opening.prefixes.operator.tokens)
    rig.pool.release(held)
    rig.check()


@pytest.mark.parametrize("began_at", [None, "x", float("nan"), float("inf"), 1e300, -1e15, b""])
def test_a_damaged_date_is_none(began_at: Any) -> None:
    assert moment(began_at) is None
