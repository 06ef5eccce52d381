"""Which states are kept, and that whoever goes on from one finds it as it was."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.scheduling.block_pool import BlockPool
from engine.scheduling.checkpoints import (
    BEGINNING,
    FOREVER,
    NEWEST,
    Checkpoint,
    Checkpoints,
    state_pool,
    thinned,
)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=150))
def test_whoever_goes_back_reads_no_more_again_than_he_goes_back(turns: list[int]) -> None:
    """Beyond what no policy could save: states are only at the ends of turns."""
    ends, kept, end = [0], list[int](), 0
    for turn in turns:
        end += turn
        ends.append(end)
        kept = thinned([*kept, end])
        assert kept[-NEWEST:] == ends[1:][-NEWEST:]
        for wanted in ends:
            nearest = max((position for position in kept if position <= wanted), default=0)
            assert wanted - nearest <= end - wanted
    assert len(kept) <= NEWEST + 2 * end.bit_length()


def test_old_states_are_given_back() -> None:
    pool, states = state_pool(64), Checkpoints()
    for end in range(10, 2010, 10):
        step(states, end - 10, end, pool)
        states.keep(pool)
    assert [c.num_tokens for c in states.kept[-NEWEST:]] == [1950, 1960, 1970, 1980, 1990, 2000]
    assert pool.num_used == 1 + len(states.kept) < 20


def step(states: Checkpoints, past: int, end: int, pool: BlockPool) -> None:
    assert states.missing(past, end, pool) <= pool.num_free
    states.plan(past, end, pool)
    states.commit(pool)


def test_a_state_that_need_not_stay_is_overwritten_and_another_is_not() -> None:
    pool, states = state_pool(8), Checkpoints()
    states.plan(0, 5, pool)
    assert states.step is not None
    first = states.step.writes[0].block
    assert states.step.blocks == [BEGINNING, first]
    states.commit(pool)
    states.plan(5, 6, pool)
    assert states.step.blocks == [first, first]
    states.commit(pool)
    states.keep(pool)
    states.plan(6, 7, pool)
    read, write = states.step.blocks
    assert read == first != write
    states.commit(pool)
    assert states.all == [Checkpoint(6, first), Checkpoint(7, write)]


def test_a_shared_state_is_not_overwritten_by_either() -> None:
    pool, one = state_pool(8), Checkpoints()
    step(one, 0, 5, pool)
    other = one.shared(pool)
    for states in (one, other):
        states.plan(5, 6, pool)
    assert one.step is not None
    assert other.step is not None
    assert one.step.read == other.step.read
    # The one that is left with it may: it is read before it is written to.
    blocks = {*one.step.blocks[1:], *other.step.blocks[1:]}
    assert len(blocks) == 2
    assert one.step.read not in blocks


def test_a_wish_on_the_way_comes_true_in_the_same_step() -> None:
    """An interval that is the wish itself has no other multiple there."""
    pool, states = state_pool(8), Checkpoints()
    states.wish(29)
    assert states.cut(0, 30) == 30
    states.plan(0, 30, pool)
    assert states.step is not None
    assert states.step.interval == 29
    assert [write.num_tokens for write in states.step.writes] == [29, 30]
    states.commit(pool)
    assert [c.num_tokens for c in states.kept] == [29]
    states.plan(30, 31, pool)
    assert states.step.interval == FOREVER


def test_a_step_ends_where_wishes_cannot_come_true_within_it() -> None:
    states = Checkpoints()
    states.wish(10, 29)
    assert states.cut(0, 30) == 10
    assert states.cut(10, 30) == 30
    states.wish(10)
    assert states.cut(0, 21) == 10, "20 is a multiple, too"
    assert states.cut(0, 20) == 20
    assert states.cut(10, 100) == 100


def test_a_step_that_fails_takes_what_it_overwrote_with_it() -> None:
    pool, states = state_pool(8), Checkpoints()
    step(states, 0, 5, pool)
    states.keep(pool)
    step(states, 5, 9, pool)
    states.plan(9, 10, pool)
    assert states.truncate(9, pool) == 5
    assert pool.num_used == 2
    states.plan(5, 7, pool)
    assert states.truncate(5, pool) == 5
    assert pool.num_used == 2


@pytest.mark.parametrize(("newest", "left"), [(1, [30]), (2, [20, 30]), (9, [10, 20, 30])])
def test_ways_back_are_given_up_for_others(newest: int, left: list[int]) -> None:
    pool, states = state_pool(8), Checkpoints()
    for end in (10, 20, 30):
        step(states, end - 10, end, pool)
        states.keep(pool)
    states.spare(pool, newest)
    assert [c.num_tokens for c in states.all] == left
    assert pool.num_used == 1 + len(left)


@dataclass
class Talk:
    """Tokens, of which `num_cached` are in the states."""

    tokens: list[int] = field(default_factory=list)
    num_cached: int = 0
    states: Checkpoints = field(default_factory=Checkpoints)


ACTIONS = ("step", "step", "step", "keep", "wish", "truncate", "fork", "spare", "fail")


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 99), st.integers(1, 40))))
def test_every_state_is_that_of_its_tokens(actions: list[tuple[str, int, int]]) -> None:
    pool = state_pool(60)
    content: dict[int, tuple[int, ...]] = {BEGINNING: ()}
    talks, said = [Talk()], 0
    for action, which, number in actions:
        talk = talks[which % len(talks)]
        if action in ("step", "fail"):
            talk.tokens += range(said, said + number)
            said += number
            end = talk.states.cut(talk.num_cached, len(talk.tokens))
            if talk.states.missing(talk.num_cached, end, pool) > pool.num_free:
                continue
            talk.states.plan(talk.num_cached, end, pool)
            compute(talk, content)
            if action == "step":
                talk.states.commit(pool)
                talk.num_cached = end
            else:
                talk.num_cached = talk.states.truncate(talk.num_cached, pool)
        elif action == "keep":
            talk.states.keep(pool)
        elif action == "wish":
            talk.states.wish(talk.num_cached + number, talk.num_cached + 2 * number)
        elif action == "truncate":
            talk.num_cached = talk.states.truncate(max(talk.num_cached - number, 0), pool)
            del talk.tokens[talk.num_cached :]
        elif action == "fork" and len(talks) < 4:
            talks.append(Talk(list(talk.tokens), talk.num_cached, talk.states.shared(pool)))
        elif action == "spare":
            talk.states.spare(pool, 1 + number % 3)
        pool.check_integrity([[BEGINNING], *(t.states.table for t in talks)])
        for each in talks:
            assert each.states.num_tokens == each.num_cached
            for checkpoint in each.states.all:
                assert content[checkpoint.block] == tuple(each.tokens[: checkpoint.num_tokens])


def compute(talk: Talk, content: dict[int, tuple[int, ...]]) -> None:
    """Read and write as the model does."""
    assert talk.states.step is not None
    step, state = talk.states.step, content[talk.states.step.read]
    assert state == tuple(talk.tokens[: talk.num_cached])
    end = step.writes[-1].num_tokens
    due = [n for n in range(talk.num_cached + 1, end + 1) if n % step.interval == 0 or n == end]
    assert due == [write.num_tokens for write in step.writes]
    for write in step.writes:
        assert write.block != BEGINNING
        content[write.block] = tuple(talk.tokens[: write.num_tokens])
