"""The scheduler with bare sequences: order, budgets, copies, preemption."""

from collections.abc import Callable, Iterator

import pytest

from engine.model.batch import build_inputs
from engine.scheduling.block_pool import BlockPool
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.sequence import Batch, Sequence, Status
from engine.scheduling.token_budget import TokenBudget
from tests.engine.fakes import FakeModel, endless

BLOCK = 4


class Driver:
    """A scheduler with the fake model, and nothing else."""

    def __init__(
        self, num_blocks: int = 64, *, sequences: int = 8, tokens: int = 32, beside: int = 8
    ) -> None:
        self.pool = BlockPool(num_blocks, BLOCK)
        self.model = FakeModel(num_blocks, BLOCK, choose=endless)
        self.scheduler = Scheduler(
            self.pool,
            budget=TokenBudget(tokens, beside, BLOCK),
            max_num_sequences=sequences,
            reclaim=self.reclaim,
        )
        self.idle: list[Sequence] = []
        self.all: list[Sequence] = []
        self.reclaimed = 0

    def reclaim(self, count: int) -> None:
        target = self.pool.num_free + count
        while self.idle and self.pool.num_free < target:
            self.idle.pop(0).truncate_kv(0, self.pool)
            self.reclaimed += 1

    def add(self, length: int) -> Sequence:
        sequence = Sequence([*range(1, length + 1)])
        self.all.append(sequence)
        self.scheduler.add(sequence)
        return sequence

    def fork(self, source: Sequence, cached: int, new: int) -> Sequence:
        """A sequence that shares the first `cached` tokens' blocks with `source`, and goes on."""
        table = source.block_table[: -(-cached // BLOCK)]
        self.pool.share(table)
        fork = Sequence([*source.tokens[:cached], *range(90, 90 + new)], table, cached)
        self.all.append(fork)
        self.scheduler.add(fork)
        return fork

    def rest(self, sequence: Sequence) -> None:
        """The sequence's turn is over; its KV stays until it is reclaimed."""
        self.scheduler.remove(sequence)
        self.idle.append(sequence)

    def step(self) -> Batch | None:
        batch = self.scheduler.schedule()
        if batch is None:
            return None
        sampled = batch.sampled
        for source, target in batch.copies:
            self.model.copy_block(source, target)
        logits = self.model.forward(build_inputs(batch))
        self.scheduler.commit(batch)
        for sequence, row in zip(sampled, logits, strict=True):
            sequence.tokens.append(int(row.argmax()))
        self.check()
        return batch

    def run(self, sequence: Sequence, num_tokens: int) -> list[int]:
        """Step until `sequence` has `num_tokens` tokens; they."""
        for _ in range(1000):
            if len(sequence.tokens) >= num_tokens:
                return sequence.tokens[:num_tokens]
            self.step()
        raise AssertionError("no progress")

    def check(self) -> None:
        self.pool.check_integrity(s.block_table for s in self.all)
        for sequence in self.all:
            assert len(sequence.block_table) == -(-sequence.num_cached_tokens // BLOCK)


@pytest.fixture
def drivers() -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(*args: int, **options: int) -> Driver:
        made.append(Driver(*args, **options))
        return made[-1]

    yield make
    for driver in made:
        driver.check()


Drivers = Callable[..., Driver]


def alone(length: int, num_tokens: int) -> list[int]:
    driver = Driver()
    return driver.run(driver.add(length), num_tokens)


def test_decodes_go_in_every_step_beside_a_long_prefill(drivers: Drivers) -> None:
    driver = drivers()
    writing = [driver.add(3), driver.add(5)]
    driver.step()
    pasted = driver.add(60)
    steps = 0
    while pasted.num_uncached_tokens > 1 or steps == 0:
        before = [len(sequence.tokens) for sequence in writing]
        driver.step()
        steps += 1
        assert [len(sequence.tokens) for sequence in writing] == [n + 1 for n in before]
    assert steps == 8  # 60 tokens, 8 in each step


def test_the_budget_is_small_beside_decodes_and_large_alone(drivers: Drivers) -> None:
    driver = drivers(tokens=16, beside=8)
    driver.add(50)
    batch = driver.step()
    assert batch is not None
    assert driver.model.steps[-1].counts == [16]
    driver.add(1)
    driver.step()
    assert sum(driver.model.steps[-1].counts) == 1 + 8


def test_chunks_end_on_block_boundaries_unless_they_are_the_last(drivers: Drivers) -> None:
    driver = drivers(tokens=10)
    sequence = driver.add(33)
    ends = []
    while sequence.num_uncached_tokens > 1:
        driver.step()
        ends.append(sequence.num_cached_tokens)
    assert ends == [8, 16, 24, 32, 33] or ends == [8, 16, 24, 33]


def test_a_chunk_that_begins_within_a_block_ends_on_a_boundary(drivers: Drivers) -> None:
    driver = drivers(tokens=10)
    sequence = driver.add(6)
    driver.step()
    sequence.tokens += range(40)
    driver.step()
    assert driver.model.steps[-1].past == [6]
    assert sequence.num_cached_tokens == 16


def test_a_short_prompt_overtakes_a_long_prefill(drivers: Drivers) -> None:
    driver = drivers()
    long = driver.add(200)
    driver.step()
    short = driver.add(5)
    driver.step()
    assert len(short.tokens) == 6
    assert long.num_uncached_tokens > 100


def test_the_oldest_prefill_goes_on_while_short_prompts_keep_coming(drivers: Drivers) -> None:
    driver = drivers(200, tokens=8, beside=8)
    long = driver.add(60)
    driver.step()
    for _ in range(100):
        if long.num_uncached_tokens <= 1:
            break
        short = driver.add(6)
        cached = long.num_cached_tokens
        driver.step()
        assert long.num_cached_tokens > cached
        if short.status is Status.RUNNING:
            driver.rest(short)
        else:
            driver.scheduler.remove(short)
    assert long.num_uncached_tokens == 1


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_budget_below_a_block_still_gets_a_prefill_done(drivers: Drivers, tokens: int) -> None:
    driver = drivers(tokens=tokens, beside=tokens)
    sequence = driver.add(13)
    assert driver.run(sequence, 15) == alone(13, 15)


def test_a_budget_below_a_block_does_not_starve_a_prefill_beside_decodes(drivers: Drivers) -> None:
    driver = drivers(beside=1)
    driver.add(2)
    driver.step()
    pasted = driver.add(13)
    for _ in range(4):
        driver.step()
    assert len(pasted.tokens) == 14


def test_only_so_many_sequences_run_at_once(drivers: Drivers) -> None:
    driver = drivers(sequences=2)
    added = [driver.add(3) for _ in range(4)]
    driver.step()
    assert [s.status for s in added] == [Status.RUNNING] * 2 + [Status.WAITING] * 2
    driver.rest(added[0])
    driver.step()
    assert added[2].status is Status.RUNNING


def test_idle_sessions_are_evicted_before_anyone_is_preempted(drivers: Drivers) -> None:
    driver = drivers(6)
    first, second = driver.add(8), driver.add(4)
    driver.step()
    driver.rest(second)
    driver.run(first, 23)
    assert driver.reclaimed == 1
    assert second.num_cached_tokens == 0
    assert first.status is Status.RUNNING


def test_the_newest_is_preempted_first_and_writes_the_same_reply(drivers: Drivers) -> None:
    driver = drivers(6)
    old, new = driver.add(8), driver.add(7)
    driver.run(old, 17)
    assert (old.status, new.status) == (Status.RUNNING, Status.WAITING)
    assert new.block_table == []
    driver.run(old, 20)
    driver.rest(old)
    assert driver.run(new, 20) == alone(7, 20)
    assert old.tokens[:20] == alone(8, 20)


@pytest.mark.parametrize("sequences", [1, 8])
def test_waiting_conversations_do_not_lock_out_the_running_one(
    drivers: Drivers, sequences: int
) -> None:
    driver = drivers(6, sequences=sequences)
    waiting = [driver.add(5), driver.add(5)]
    for sequence in waiting:
        driver.run(sequence, 6)
        driver.scheduler.remove(sequence)
    running = driver.add(9)
    for sequence in waiting:  # second turns: their blocks are not idle any more
        sequence.tokens += range(15)
        driver.scheduler.add(sequence)
    assert driver.run(running, 20) == alone(9, 20)
    driver.rest(running)
    assert len(driver.run(waiting[0], 24)) == 24


def test_a_shared_partial_block_is_copied_before_it_is_written(drivers: Drivers) -> None:
    driver = drivers()
    source = driver.add(10)
    driver.step()
    fork = driver.fork(source, 10, 3)
    shared = source.block_table[-1]
    batch = driver.step()
    assert batch is not None
    assert [copied for copied, _ in batch.copies] == [shared]
    assert source.block_table[:2] == fork.block_table[:2]
    assert not set(source.block_table[2:]) & set(fork.block_table[2:])
    assert driver.run(source, 20) == alone(10, 20)
    lonely = Driver()
    same = lonely.add(10)
    same.tokens += range(90, 93)
    assert driver.run(fork, 20) == lonely.run(same, 20)


def test_full_shared_blocks_are_never_copied(drivers: Drivers) -> None:
    driver = drivers()
    source = driver.add(8)
    driver.step()
    driver.fork(source, 8, 3)
    batch = driver.step()
    assert batch is not None
    assert batch.copies == []


def test_a_copy_that_lacks_a_block_takes_it_from_an_idle_session(drivers: Drivers) -> None:
    driver = drivers(4)
    idle, source = driver.add(4), driver.add(10)
    driver.step()
    driver.rest(idle)
    fork = driver.fork(source, 10, 1)
    driver.scheduler.remove(source)
    driver.step()
    assert driver.reclaimed == 1
    assert fork.num_cached_tokens == 11


def test_an_aborted_batch_gives_back_its_blocks_and_drops_half_written_ones(
    drivers: Drivers,
) -> None:
    driver = drivers()
    sequence = driver.add(6)
    driver.step()
    sequence.tokens += range(7)
    batch = driver.scheduler.schedule()
    assert batch is not None
    driver.model.forward(build_inputs(batch))
    driver.scheduler.abort(batch)
    assert (sequence.num_cached_tokens, len(sequence.block_table)) == (4, 1)
    driver.check()


def test_a_removed_sequence_keeps_its_blocks(drivers: Drivers) -> None:
    driver = drivers()
    sequence = driver.add(6)
    driver.step()
    driver.scheduler.remove(sequence)
    assert len(sequence.block_table) == 2
    assert not driver.scheduler.has_work
    assert driver.scheduler.schedule() is None
