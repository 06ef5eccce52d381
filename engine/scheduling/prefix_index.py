"""Which full block holds the KV of which tokens, so that equal beginnings are computed once.

Owns: the index from (salt, all tokens so far) to block ids. Does not know: who asks, or tensors.
A key is a digest chained over the blocks in front, and on a hit the block's tokens are compared.
A block leaves the index when the pool frees it or it is written to again. The salt is the owner:
nobody's blocks are found, or can be timed, by anybody else; a block that several owners share is
listed for each of them.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

_Key = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class _Indexed:
    block: int
    tokens: tuple[int, ...]


class PrefixIndex:
    """Full blocks by their content and everything in front of it."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._by_key: dict[_Key, _Indexed] = {}
        self._keys: dict[int, dict[str, _Key]] = {}  # of each block, by salt

    def __len__(self) -> int:
        return len(self._by_key)

    def longest(self, salt: str, tokens: Sequence[int]) -> list[int]:
        """The blocks that hold the longest known beginning of `tokens`; never all of the tokens.

        At least one token stays to be computed, since its logits are wanted.
        """
        blocks: list[int] = []
        for key, piece in self._keys_of(salt, tokens[: len(tokens) - 1]):
            found = self._by_key.get(key)
            if found is None or found.tokens != piece:
                break
            blocks.append(found.block)
        return blocks

    def add(self, salt: str, tokens: Sequence[int], block_table: Sequence[int]) -> None:
        """Index the full blocks of a sequence whose `tokens` are cached in `block_table`.

        Where a block of the same content is known, the known one stays.
        """
        for (key, piece), block in zip(self._keys_of(salt, tokens), block_table, strict=False):
            keys = self._keys.setdefault(block, {})
            if key not in self._by_key and salt not in keys:
                self._by_key[key] = _Indexed(block, piece)
                keys[salt] = key

    def forget(self, block: int) -> None:
        """The block does not hold that any more."""
        for key in self._keys.pop(block, {}).values():
            del self._by_key[key]

    def _keys_of(self, salt: str, tokens: Sequence[int]) -> Iterator[tuple[_Key, tuple[int, ...]]]:
        """The key and the tokens of each full block."""
        digest = b""
        for begin in range(0, len(tokens) - self._block_size + 1, self._block_size):
            piece = tuple(tokens[begin : begin + self._block_size])
            digest = blake2b(digest + array("q", piece).tobytes(), digest_size=16).digest()
            yield (salt, digest), piece
