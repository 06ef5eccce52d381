"""What each forward was given and gave, without changing any of it.

Owns: the observer around the model, and a core driven by hand where a benchmark needs logits. Does
not know: what is measured. The engine takes any model with a `forward` and any loader. Looks inside
the engine, past what its packages offer.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine import EngineConfig, SamplingParams, SessionId
from engine.conversations import Home, Session, SessionTable, open_journal
from engine.errors import EngineError
from engine.events import Event, Finished
from engine.loading import ModelInfo, load
from engine.metrics import TurnFigures
from engine.model import ForwardModel, Inputs, Logits, build_inputs
from engine.owner import Loader
from engine.scheduling import Batch, Sequence
from engine.tiers import snapshot_key
from engine.turns import EngineCore, TurnRequest

Observer = Callable[[Inputs, Logits], None]

CHUNK = 512


class WatchedModel:
    """A model that tells `observe` of each forward, when it is done."""

    def __init__(self, model: ForwardModel, observe: Observer) -> None:
        self.vocab_size = model.vocab_size
        self.has_single_token_graph = model.has_single_token_graph
        self._model = model
        self._observe = observe

    def forward(self, inputs: Inputs) -> Logits:
        """The model's forward."""
        logits = self._model.forward(inputs)
        self._observe(inputs, logits)
        return logits


def watching(observe: Callable[[EngineCore, Inputs], None]) -> Loader:
    """A loader whose core tells `observe` of each forward, in the engine's thread."""

    def loader(config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
        core, info = load(config, home)
        runner = core.parts.runner
        runner.model = WatchedModel(runner.model, lambda inputs, _logits: observe(core, inputs))
        return core, info

    return loader


class OpenCore:
    """A core without its thread, on a data directory; `close` is what the end of a program does."""

    def __init__(self, model_dir: Path, **options: object) -> None:
        config = EngineConfig(model_dir=model_dir, **options)  # type: ignore[arg-type]
        self._journal = open_journal(config)
        self.sessions = SessionTable(self._journal.load)
        self.core, _ = load(config, Home(self.sessions, self._journal, lambda: None))
        self.rest()

    def turn(
        self, session_id: SessionId, message: str, max_tokens: int
    ) -> tuple[TurnFigures, list[int]]:
        """One greedy turn and what is done ahead behind it: its figures, its tokens before that."""
        events: list[Event | EngineError] = []
        params = SamplingParams(temperature=0, max_tokens=max_tokens)
        self.sessions.open(session_id)
        self.core.begin(TurnRequest(session_id, message, params, events.append))
        while not (events and isinstance(events[-1], Finished | EngineError)):
            if self.core.has_work:
                self.core.step()
            else:
                time.sleep(0.001)  # the snapshot is being read
        if isinstance(events[-1], EngineError):
            raise events[-1]
        branch = self.sessions.find(session_id).active
        tokens = branch.sequence.tokens[: branch.ledger.num_tokens]
        self.rest()
        assert isinstance(events[-1], Finished)
        return events[-1].figures, tokens

    def rest(self) -> None:
        """Do what waits for a quiet moment, but for writing to disk."""
        while self.core.parts.idle.wait_s() == 0.0:
            self.core.parts.idle.step()

    def spill(self, session: Session) -> None:
        """Write the session's KV to disk, wait until it is there, and drop it from memory."""
        tiers = self.core.parts.tiers
        assert tiers.disk is not None
        tiers.saving.save(session, session.active)
        path = tiers.disk.folder.path(snapshot_key(session, session.conversation.head))
        while not path.is_file():
            time.sleep(0.01)
        time.sleep(0.1)  # until the writer has let go of its copy, which would be used otherwise
        self.core.evict(session)

    def logits(self, sequence: Sequence, num_rows: int) -> Logits:
        """A copy of the logits [num_rows, vocab] behind the sequence's last uncached tokens.

        Grows the sequence's blocks and KV over all its tokens, in chunks as the engine's.
        """
        pool = self.core.parts.pool
        missing = pool.blocks_for(len(sequence.tokens)) - len(sequence.block_table)
        blocks = pool.try_allocate(missing)
        assert blocks is not None, "the KV budget is too small for this benchmark"
        sequence.block_table += blocks
        first = len(sequence.tokens) - num_rows
        ends = [*range(CHUNK, len(sequence.tokens), CHUNK), len(sequence.tokens)]
        left = [end for end in ends if end > sequence.num_cached_tokens]
        return np.concatenate([self._forward(sequence, end, first) for end in left])

    def close(self) -> None:
        """Write what is resident to disk and let the files go."""
        self.core.parts.tiers.saving.save_all(time.monotonic() + 60)
        self._journal.close()

    def _forward(self, sequence: Sequence, end: int, first: int) -> Logits:
        """Compute the tokens up to `end`: logits of those from position `first` on."""
        begin, count = sequence.num_cached_tokens, end - sequence.num_cached_tokens
        covered = sequence.block_table[: self.core.parts.pool.blocks_for(end)]
        step = Sequence(sequence.tokens[:end], covered, begin, count)
        inputs = build_inputs(Batch([step], []))
        inputs["logit_indices"] = np.arange(max(first - begin, 0), count)
        sequence.num_cached_tokens = end
        return self.core.parts.runner.model.forward(inputs).copy()
