"""A breath of each storm, so that it can be trusted when it blows longer; the oracle objects to a planted fault."""

import json

import pytest

from tests.storm import http
from tests.storm.__main__ import main


def test_a_short_storm_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http", "--requests", "80", "--seed", "7"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["num_faults"] == 0
    assert sum(report["counts"]["open"].values()) == 40


def test_an_answer_that_shows_what_it_must_not_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http, "_answer", lambda *_: (200, http.SECRET))
    assert main(["http", "--requests", "2", "--seed", "7"]) == 1
    assert json.loads(capsys.readouterr().out)["num_faults"] == 2


def test_a_storm_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rain"]) == 2
    assert "http" in capsys.readouterr().err
