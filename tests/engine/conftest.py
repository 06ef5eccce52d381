"""Rigs for the engine's tests, and settings for Hypothesis."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.engine.rig import Rig, make_rig

settings.register_profile(
    "engine",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("engine")


@pytest.fixture
def rigs() -> Iterator[Callable[..., Rig]]:
    """`make_rig`, with the state of every rig checked when the test is over."""
    made: list[Rig] = []

    def make(**options: object) -> Rig:
        made.append(make_rig(**options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for rig in made:
        rig.check()


@pytest.fixture
def rig(rigs: Callable[..., Rig]) -> Rig:
    return rigs()
