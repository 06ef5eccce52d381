"""Conversations that fill the context, in a pool that holds little more than one of them."""

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import RequestError
from tests.engine.fakes import endless
from tests.engine.rig import GREEDY, Rig, make_stored_rig

CONTEXT, BLOCK_SIZE = 156, 4


def start(folder: Path) -> Rig:
    """With the block that loading leaves for proving what comes from disk."""
    return make_stored_rig(
        folder, num_blocks=CONTEXT // BLOCK_SIZE + 1, context_length=CONTEXT, choose=endless
    )


@pytest.mark.parametrize("seed", range(8))
def test_every_turn_ends_though_it_needs_nearly_all_blocks(seed: int, tmp_path: Path) -> None:
    dice, rig = random.Random(seed), start(tmp_path)
    for number in range(14):
        match dice.choice(["restart", "rest", *["chat"] * 6]):
            case "restart":
                rig.stop()
                rig = start(tmp_path)
            case "rest":
                rig.rest()
            case _:
                _turn(rig, dice, number)
    rig.stop()


def _turn(rig: Rig, dice: random.Random, number: int) -> None:
    name = dice.choice("ab")
    depth = len(rig.session(name).messages)
    keep = dice.choice([None, None, 0, depth - depth % 2 - 2]) if depth else None
    params = replace(GREEDY, max_tokens=dice.choice([1, 8, 60]))
    with suppress(RequestError):  # what is kept is too much by now, perhaps
        rig.chat(f"{number}{'x' * dice.randrange(20)}", name, params, keep=keep)
