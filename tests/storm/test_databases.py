"""A few rounds, so that the storm can be called whenever it is wanted."""

import pytest

from tests.storm import databases


def test_a_short_storm_of_databases_loses_nothing_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.conversations.writer.PATIENCE_S", databases.PATIENCE_S)
    counts = databases.storm(rounds=4, seed=2)
    assert counts["turns"] > 10
    assert sum(n for what, n in counts.items() if what.startswith("after: ")) == 4
