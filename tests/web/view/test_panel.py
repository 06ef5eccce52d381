"""The live panel's figures."""

from dataclasses import replace

import pytest

from engine import EngineStats, SessionId
from tests.web.figures import figures
from web.view.panel import live_panel, size

MINE, YOURS = SessionId("me", "a"), SessionId("you", "b")
STATS = EngineStats(
    sessions=2, running=1, waiting=3, kv_blocks_used=30, kv_blocks_total=100, tokens_generated=9,
    forward_s=1.0, is_warm=True, kv_blocks_shared=2, kv_block_bytes=1 << 20, disk_bytes=5 << 20,
    spilled=4, restored=2, blocks_by_session={MINE: 10, YOURS: 18},
)  # fmt: skip


def shown(stats: EngineStats = STATS, title: str = "My talk") -> str:
    return live_panel(stats, {MINE: title}, [figures()], 71.0, "en")


def test_own_conversations_have_names_and_others_are_one_sum() -> None:
    assert 'style="width:10.00%" title="My talk"' in shown()
    assert 'style="width:20.00%" title="Others"' in shown()
    assert "30 MiB</span>" not in shown()
    assert "30 MiB / 100 MiB" in shown()


def test_counts_of_tiers_and_queue_are_told() -> None:
    for text in ("<dd>2 MiB</dd>", "<dd>5 MiB</dd>", "4 / 2", "1 / 3", "<dd>71</dd>"):
        assert text in shown()


def test_a_turn_is_drawn_beside_what_it_would_have_cost() -> None:
    assert "<title>0.09 s</title>" in shown()
    assert "<title>4.15 s</title>" in shown()
    assert "No answers" in live_panel(STATS, {}, [], 0.0, "en")


def test_titles_are_text() -> None:
    assert "&lt;b&gt;" in shown(title="<b>")


def test_an_engine_without_a_model_yet_has_a_panel() -> None:
    empty = replace(STATS, kv_blocks_used=0, kv_blocks_total=0, blocks_by_session={})
    assert "0 B / 0 B" in shown(empty)


@pytest.mark.parametrize(("count", "text"), [(900, "900 B"), (2048, "2 KiB"), (3 << 30, "3.0 GiB")])
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size(count) == text
