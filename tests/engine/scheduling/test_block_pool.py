"""The pool against a dictionary that counts references."""

from collections import Counter
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.scheduling.block_pool import BlockPool


class PoolMachine(RuleBasedStateMachine):
    """Tables are taken, shared, shortened and dropped at will; the oracle is their plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(11, 4)
        self.tables: list[list[int]] = []

    @rule(count=st.integers(0, 13))
    def allocate(self, count: int) -> None:
        free_before = self.pool.num_free
        blocks = self.pool.try_allocate(count)
        if count > free_before:
            assert blocks is None
            assert self.pool.num_free == free_before
        else:
            assert blocks is not None
            assert len(blocks) == len(set(blocks)) == count
            assert not set(blocks) & {b for table in self.tables for b in table}
            self.tables.append(blocks)

    @precondition(lambda self: self.tables)
    @rule(source=st.randoms(use_true_random=False), length=st.integers(0, 11))
    def share(self, source: Random, length: int) -> None:
        table = source.choice(self.tables)[:length]
        self.pool.share(table)
        self.tables.append(list(table))

    @precondition(lambda self: self.tables)
    @rule(source=st.randoms(use_true_random=False), kept=st.integers(0, 11))
    def truncate(self, source: Random, kept: int) -> None:
        table = source.choice(self.tables)
        self.pool.release(table[kept:])
        del table[kept:]

    @precondition(lambda self: any(self.tables) and self.pool.num_free)
    @rule(source=st.randoms(use_true_random=False))
    def copy_on_write(self, source: Random) -> None:
        table = source.choice([t for t in self.tables if t])
        if self.pool.is_shared(table[-1]):
            new = self.pool.try_allocate(1)
            assert new is not None
            self.pool.release([table[-1]])
            table[-1:] = new
            assert not self.pool.is_shared(table[-1])

    @invariant()
    def counts_are_those_of_the_oracle(self) -> None:
        oracle = Counter(block for table in self.tables for block in table)
        assert self.pool.num_used == len(oracle)
        assert self.pool.num_free + self.pool.num_used == self.pool.num_blocks
        assert all(self.pool.is_shared(b) == (oracle[b] > 1) for b in range(11))
        self.pool.check_integrity(self.tables)


TestPool = PoolMachine.TestCase


def test_a_block_freed_last_is_used_first() -> None:
    pool = BlockPool(4, 4)
    first = pool.try_allocate(3)
    assert first is not None
    pool.release(first[1:2])
    assert pool.try_allocate(1) == first[1:2]


def test_releasing_a_free_block_is_our_bug() -> None:
    pool = BlockPool(2, 4)
    blocks = pool.try_allocate(1)
    assert blocks is not None
    pool.release(blocks)
    with pytest.raises(AssertionError, match="released twice"):
        pool.release(blocks)


def test_sharing_a_free_block_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="is free"):
        BlockPool(2, 4).share([0])


@pytest.mark.parametrize("tables", [[], [[0, 1], [1]], [[0]], [[0, 1, 2]]])
def test_check_integrity_notices_tables_that_do_not_add_up(tables: list[list[int]]) -> None:
    pool = BlockPool(3, 4)
    assert pool.try_allocate(2) == [0, 1]
    with pytest.raises(AssertionError, match="reference counts"):
        pool.check_integrity(tables)
