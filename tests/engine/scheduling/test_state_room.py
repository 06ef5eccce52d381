"""What goes for a step's states, and what does not."""

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.checkpoints import state_pool
from engine.scheduling.sequence import Sequence
from engine.scheduling.state_room import StateRoom


def test_who_finds_no_room_keeps_his_wishes_for_when_there_is_some() -> None:
    pool, asked = BlockPool(8, 4, state_pool(1)), list[int]()
    sequence = Sequence([1, 2, 3])
    sequence.wish_states(pool, 2)
    assert not StateRoom(pool.states, asked.append).make(sequence, 3, ())
    assert sequence.states.wishes == [2]
    assert asked == [2]


def test_with_room_for_the_step_alone_wishes_go() -> None:
    pool = BlockPool(8, 4, state_pool(2))
    sequence = Sequence([1, 2, 3])
    sequence.wish_states(pool, 2)
    assert StateRoom(pool.states, lambda _count: None).make(sequence, 3, ())
    assert sequence.states.wishes == []
