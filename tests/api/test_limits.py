"""Limits of each owner, by a clock of the test's."""

import pytest

from api.errors import ApiError
from api.limits import Limits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_no_more() -> None:
    limits = Limits(requests=2)
    for _ in range(2):
        limits.enter("ann")
    with pytest.raises(ApiError) as refused:
        limits.enter("ann")
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    limits.enter("bob")
    limits.leave("ann")
    limits.enter("ann")


def test_so_many_tokens_within_a_minute() -> None:
    clock = Clock()
    limits = Limits(tokens=100, clock=clock)
    for at, tokens in ((0.0, 60), (20.0, 60)):
        clock.now = at
        limits.enter("ann")
        limits.spend("ann", tokens)
        limits.leave("ann")
    clock.now = 30.5
    with pytest.raises(ApiError) as refused:
        limits.enter("ann")
    assert refused.value.retry_after_s == 30, "then the first of them is a minute old"
    limits.enter("bob")
    clock.now = 60.5
    limits.enter("ann")


def test_without_limits_everybody_may() -> None:
    limits = Limits()
    for _ in range(1000):
        limits.enter("ann")
        limits.spend("ann", 10**9)
