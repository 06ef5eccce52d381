"""From the tokens of running replies to the text that people get.

Owns: that the new tokens of several replies are decoded in one call, and what of a reply stays in its
branch at the end. Does not know the scheduler, the model, nor when a reply ends.
"""

import logging
import time
from collections.abc import Sequence
from itertools import chain, islice

from engine.conversations import Journal
from engine.scheduling import BlockPool
from engine.text import Tokenizer, escaped_offsets
from engine.turns.turn import Turn

log = logging.getLogger(__name__)


class Telling:
    """Reads tokens as text, tells that and keeps it."""

    def __init__(self, tokenizer: Tokenizer, journal: Journal, pool: BlockPool) -> None:
        self._tokenizer = tokenizer
        self._journal = journal
        self._pool = pool

    def read_due(self, turns: Sequence[Turn]) -> None:
        """Tell the new tokens of those of these replies whose text is wanted now."""
        now = time.monotonic()
        self._read([turn for turn in turns if turn.is_text_due(now)])

    def end(self, turn: Turn) -> None:
        """Tell what has gathered, or might have become a stop string; the branch gets the reply."""
        try:
            if turn.reply.has_unread and not turn.reply.stopped:
                self._read([turn])
        except Exception:  # the reply ends with what could be read of it
            log.exception("Tokens could not be decoded")
        self._tell(turn, final=True)
        self._keep(turn)

    def _read(self, turns: Sequence[Turn]) -> None:
        windows = [turn.reply.windows() for turn in turns]
        texts = iter(self._tokenizer.decode_batch([*chain.from_iterable(windows)]))
        for turn, own in zip(turns, windows, strict=True):
            turn.reply.advance([*islice(texts, len(own))])
            self._tell(turn)

    def _tell(self, turn: Turn, *, final: bool = False) -> None:
        if piece := turn.reply.take(final=final):
            turn.tell(piece)
            self._journal.stream(turn.session, turn.node_id, turn.text)

    def _keep(self, turn: Turn) -> None:
        """The tokens of the reply stay, as far as they stand for its text."""
        reply, branch = turn.reply, turn.branch
        ends = reply.kept()
        turn.sequence.truncate(turn.num_prompt + len(ends), self._pool)
        # Else the last one is computed with what comes next.
        if not turn.sequence.num_uncached_tokens:
            turn.sequence.keep_state(self._pool)
        text, ends = turn.earlier.with_more(reply.spoken, ends)
        escaped = self._tokenizer.escape_spoken(text)
        branch.ledger = branch.ledger.with_reply(escaped, escaped_offsets(escaped, ends))
        branch.last_used_at = time.monotonic()
