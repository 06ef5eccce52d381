"""How many turns may wait: the next one is refused, and nothing else changes."""

from collections.abc import Callable

import pytest

from engine.config import EngineConfig
from engine.errors import ConfigError, QueueFull
from engine.events import FinishReason
from engine.turns.turn import TurnRequest
from tests.engine.fakes import endless
from tests.engine.rig import GREEDY, Rig

Rigs = Callable[..., Rig]


def limited(rigs: Rigs, max_queue: int | None, **options: object) -> Rig:
    return rigs(choose=endless, max_num_sequences=2, max_queue=max_queue, **options)


def test_whoever_comes_to_a_full_queue_is_refused_and_nothing_is_lost(rigs: Rigs) -> None:
    rig = limited(rigs, 1)
    taken = [rig.begin("Hi", name) for name in "abc"]  # two run, one waits
    with pytest.raises(QueueFull, match="try again"):
        rig.begin("Hi", "d")
    assert rig.session("d").messages == ()
    rig.run()
    assert [asked.reason for asked in taken] == [FinishReason.LENGTH] * 3
    assert rig.chat("Hi", "d").text == taken[0].text


def test_without_a_queue_as_many_are_answered_as_can_be_at_once(rigs: Rigs) -> None:
    rig = limited(rigs, 0)
    for name in "ab":
        rig.begin("Hi", name)
    with pytest.raises(QueueFull):
        rig.begin("Hi", "c")
    rig.run()
    rig.begin("Hi", "c")
    rig.run()


def test_a_place_is_free_again_when_somebody_who_waited_gives_up(rigs: Rigs) -> None:
    rig = limited(rigs, 1)
    waiting = [rig.begin("Hi", name) for name in "abc"][-1]
    waiting.request.cancelled = True
    rig.begin("Hi", "d")
    with pytest.raises(QueueFull):
        rig.begin("Hi", "e")
    rig.run()


def test_who_waits_for_memory_counts_too(rigs: Rigs) -> None:
    rig = rigs(choose=endless, num_blocks=32, max_queue=0)
    rig.begin("x" * 60, "a")
    for _ in range(4):
        rig.step()
    rig.begin("x" * 60, "b")  # there is a place, but no room: it is taken and waits
    with pytest.raises(QueueFull):
        rig.begin("x" * 60, "c")
    rig.run()


def test_completions_wait_in_the_same_queue(rigs: Rigs) -> None:
    rig = limited(rigs, 0)
    for name in "ab":
        rig.begin("Hi", name)
    with pytest.raises(QueueFull):
        rig.core.begin(TurnRequest(None, "Once", GREEDY, lambda _event: None))
    rig.run()


def test_without_a_limit_everybody_waits(rigs: Rigs) -> None:
    rig = limited(rigs, None)
    taken = [rig.begin("Hi", name) for name in "abcdefgh"]
    rig.run()
    assert all(asked.finished for asked in taken)


def test_a_limit_below_zero_is_refused(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="queue"):
        EngineConfig(model_dir=tmp_path, max_queue=-1)  # type: ignore[arg-type]
