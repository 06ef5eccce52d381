"""Full blocks by their content: found by who may, forgotten when they hold something else."""

from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.prefix_index import PrefixIndex

BLOCK = 4
tokens_of = st.lists(st.integers(0, 1), max_size=14)


def test_the_longest_beginning_is_found_block_by_block() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(12), [7, 8, 9])
    assert index.longest("a", [*range(12), 99]) == [7, 8, 9]
    assert index.longest("a", [*range(8), 99, 99, 99, 99, 99]) == [7, 8]
    assert index.longest("a", [99, *range(12)]) == []


def test_one_token_stays_to_be_computed() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(8), [7, 8])
    assert index.longest("a", range(8)) == [7]
    assert index.longest("a", range(4)) == []
    assert index.longest("a", []) == []


def test_a_partial_block_is_never_found() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(7), [7, 8])
    assert index.longest("a", range(20)) == [7]


def test_equal_tokens_behind_other_ones_are_not_the_same_block() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", [1, 2, 3, 4, 5, 5, 5, 5], [0, 1])
    assert index.longest("a", [5, 5, 5, 5, 9]) == []
    assert index.longest("a", [4, 3, 2, 1, 5, 5, 5, 5, 9]) == []


def test_a_digest_that_collides_is_no_hit() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", [1, 2, 3, 4], [0])
    key = next(iter(index._by_key))
    index._by_key = {("a", next(index._keys_of("a", [9, 9, 9, 9]))[0][1]): index._by_key[key]}
    assert index.longest("a", [9, 9, 9, 9, 9]) == []


def test_owners_do_not_find_each_others_blocks() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(8), [7, 8])
    assert index.longest("b", range(9)) == []
    assert index.longest("", range(9)) == []


def test_a_block_that_several_owners_share_is_found_by_each() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(8), [0, 1])  # block 0 holds the operator's prompt
    index.add("b", [*range(4), 9, 9, 9, 9], [0, 2])
    assert index.longest("b", [*range(4), 9, 9, 9, 9, 9]) == [0, 2]
    assert index.longest("b", range(9)) == [0], "what only the other one said is not found"
    index.forget(0)
    assert index.longest("a", range(9)) == index.longest("b", range(9)) == []
    assert len(index) == 2


def test_a_forgotten_block_is_not_found_and_its_place_can_be_taken() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(8), [7, 8])
    index.forget(8)
    index.forget(8)
    assert index.longest("a", range(9)) == [7]
    index.add("a", range(8), [7, 3])
    assert index.longest("a", range(9)) == [7, 3]


def test_what_is_known_already_stays() -> None:
    index = PrefixIndex(BLOCK)
    index.add("a", range(4), [7])
    index.add("a", range(4), [3])
    assert index.longest("a", range(5)) == [7]
    index.forget(3)
    assert index.longest("a", range(5)) == [7]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), tokens_of, st.integers(0, 3)), max_size=12),
    st.sampled_from("ab"),
    tokens_of,
)
def test_a_hit_is_the_longest_run_of_blocks_with_these_very_tokens(
    added: list[tuple[str, list[int], int]], salt: str, wanted: list[int]
) -> None:
    """Against a plain list of (owner, tokens up to the block's end) for each block."""
    index = PrefixIndex(BLOCK)
    holds: dict[int, tuple[str, tuple[int, ...]]] = {}
    for number, (owner, tokens, drop) in enumerate(added):
        table = [number * 4 + i for i in range(len(tokens) // BLOCK)]
        index.add(owner, tokens, table)
        for i, block in enumerate(table):
            holds[block] = (owner, tuple(tokens[: (i + 1) * BLOCK]))
        for block in table[:drop]:
            index.forget(block)
            holds.pop(block)
    found = index.longest(salt, wanted)
    for i, block in enumerate(found):
        assert holds[block] == (salt, tuple(wanted[: (i + 1) * BLOCK]))
    assert len(found) * BLOCK < max(len(wanted), 1)
