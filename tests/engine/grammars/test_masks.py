"""Bits to logits: what is not allowed has no chance, at any width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grammars.masks import allow, masked


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.integers(0, 8))
def test_only_allowed_tokens_keep_their_logits(allowed: list[bool], spare: int) -> None:
    logits = np.arange(len(allowed), dtype=np.float32) - 7
    bits = np.packbits([*allowed, *[True] * spare], bitorder="little")
    told = masked(logits, bits)
    assert told[allowed].tolist() == logits[allowed].tolist()
    assert np.isneginf(told[[not one for one in allowed]]).all()


@pytest.mark.parametrize("token", [0, 7, 8, 30])
def test_one_token_more_is_allowed(token: int) -> None:
    bits = np.zeros(4, np.uint8)
    allow(bits, token)
    assert np.flatnonzero(~np.isneginf(masked(np.zeros(31, np.float32), bits))).tolist() == [token]
