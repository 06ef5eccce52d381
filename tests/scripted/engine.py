"""The real engine but for what a reply costs and says: those a script gives.

Face, thread, mailboxes, conversations, store, ledger, tree of versions, drafts and files are the
engine's own, over the fake model and the fake tokenizer (a token is a byte); only the step is another,
so that a turn stands still wherever the test wants to look. test_contract.py holds it against an
engine with a real model.
"""

import asyncio
from pathlib import Path
from typing import Any, cast

from engine import Engine, EngineConfig, ModelInfo
from engine.conversations import Home, Node, Session
from engine.errors import EngineClosed, EngineError
from engine.events import FinishReason
from engine.scheduling import Status
from engine.text import Setting
from engine.turns.core import CoreParts, EngineCore
from engine.turns.idle import Idle
from engine.turns.prompt import Prompt
from engine.turns.turn import Turn, TurnRequest
from tests.engine.rig import make_disk, make_rig
from tests.scripted.script import Cost, End, Hold, Role, Say, Script, Step, Tell

CONTEXT = 8192
BLOCK_SIZE = 32
PATIENCE_S = 60.0  # what is late on a busy machine is not wrong


class ScriptedCore(EngineCore):
    """Turns do what their roles say."""

    def __init__(self, parts: CoreParts, script: Script) -> None:
        super().__init__(parts)
        self._script = script
        self._roles: dict[Turn, Role] = {}

    @property
    def has_work(self) -> bool:
        acts = any(self._has_work(turn, role) for turn, role in self._roles.items())
        return acts or self._parking.has_work

    def _has_work(self, turn: Turn, role: Role) -> bool:
        """Who waits for others to end is told the place, and does nothing else."""
        if turn.request.cancelled or not _is_queued(turn):
            return turn.request.cancelled or not role.is_waiting
        return turn.queue_position is None

    def begin(self, request: TurnRequest) -> None:
        self._script.arrives(request)
        super().begin(request)

    def draft(self, session: Session, text: str, setting: Setting) -> None:
        super().draft(session, text, setting)
        self._script.drafts.append((text, setting))

    def step(self) -> None:
        self._end_cancelled()
        self._unpark()
        self._compute()
        for turn, role in list(self._roles.items()):
            if not _is_queued(turn) and (step := role.next()) is not None:
                self._act(turn, role, step)
        self._compute()  # whoever waited for those that ended begins
        self._tell_places()

    def _launch(self, session: Session, request: TurnRequest, prompt: Prompt, reply: Node) -> None:
        super()._launch(session, request, prompt, reply)
        turn = next(reversed(self._turns.values()))
        turn.clock.start()
        turn.clock.prefilled_tokens = prompt.num_tokens - turn.sequence.num_cached_tokens
        self._roles[turn] = self._script.begins(request)

    def _compute(self) -> None:
        """The KV of all that has been said, by the fake model."""
        while (batch := self.parts.scheduler.schedule()) is not None:
            self.parts.runner.run(batch)
            self.parts.scheduler.commit(batch)

    def _act(self, turn: Turn, role: Role, step: Step) -> None:
        match step:
            case Say(text):
                self._say(turn, text)
            case Tell(event):
                turn.request.emit(event)
            case Cost():
                _charge(turn, step)
            case Hold():
                role.holds = True
            case End(FinishReason.STOP):
                self._advance([turn], [[next(iter(self.parts.eos_token_ids))]])
            case End(reason, error):
                self._end(turn, reason, error=error)

    def _say(self, turn: Turn, text: str) -> None:
        tokens = self.parts.tokenizer.encode(text)
        for i, token in enumerate(tokens):
            if turn not in self._roles:  # cut at max tokens, or by a stop string
                return
            # All of it comes in one piece, whatever the reader wants to gather.
            turn.text_due_at = 0.0 if i + 1 == len(tokens) else float("inf")
            self._advance([turn], [[token]])

    def _end(self, turn: Turn, reason: FinishReason, *, error: str | None = None) -> None:
        self._script.is_over(self._roles.pop(turn))
        self._compute()
        super()._end(turn, reason, error=error)


def _is_queued(turn: Turn) -> bool:
    return turn.sequence.status is Status.WAITING


def _charge(turn: Turn, cost: Cost) -> None:
    clock = turn.clock
    if cost.reused is not None:
        clock.reused_tokens = cost.reused
    if cost.prefilled is not None:
        clock.prefilled_tokens = cost.prefilled
    clock.source = cost.source or clock.source
    clock.saved_s = clock.saved_s if cost.saved_s is None else cost.saved_s
    clock.first_visible = clock.first_visible if cost.first_visible is None else cost.first_visible
    clock.notes += [cost.note] if cost.note else []


class PausableIdle:
    """Idle work that a test can keep from going on. It has all of the real one's methods."""

    def __init__(self, idle: Idle) -> None:
        self._idle = idle
        self.is_paused = False
        self.is_broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._idle, name)

    def wait_s(self) -> float | None:
        if self.is_broken:
            raise RuntimeError("a bug, as the test wants it")
        return None if self.is_paused else self._idle.wait_s()


class ScriptedEngine(Engine):
    """An engine that follows `script`. Not started yet.

    context_length: of one conversation, in bytes of text. num_blocks: of its KV, for all of them.
    max_num_sequences, max_queue: turns that run, and that may wait behind them.
    failure: what loading fails with, or what it failed with by `die`. info: what differs in its
    ModelInfo.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        context_length: int = CONTEXT,
        num_blocks: int = 8192,
        max_num_sequences: int = 64,
        max_queue: int | None = None,
        failure: EngineError | None = None,
        **info: Any,
    ) -> None:
        self.script = Script(self._wake)
        self.failure = failure
        self._context_length = context_length
        self._num_blocks = num_blocks
        self._max_num_sequences, self._max_queue = max_num_sequences, max_queue
        self._told = info
        self._idle: PausableIdle | None = None
        config = EngineConfig(model_dir=Path("scripted"), data_dir=data_dir)
        super().__init__(config, loader=self._load)

    def pause_idle_work(self, is_paused: bool = True) -> None:
        """Nothing is prefilled ahead from now on; or it goes on."""
        self.wait_ready(PATIENCE_S)
        assert self._idle is not None
        self._idle.is_paused = is_paused
        self._wake()

    def name(self, conversation: str, title: str) -> None:
        """As if the model had made a title for the conversation."""
        found = [
            s for s in self._sessions if s.id is not None and s.id.conversation == conversation
        ]
        self._owner.post(lambda core: core.parts.journal.suggest_title(found[0], title))

    def check(self) -> None:
        """Assert that the blocks of all conversations and the pool agree. Not from an event loop.

        The engine's own check (debug) may meet a conversation that is on its way out.
        """
        asyncio.run(self._owner.call(lambda core: core.check_integrity()))

    def die(self) -> None:
        """End as by a bug of the engine's own; it says so from now on."""

        self.failure = EngineClosed("The engine stopped because of a bug in it; start it again.")
        self.stumble()
        self._owner.thread.join(PATIENCE_S)

    def stumble(self) -> None:
        """A bug of the engine's own ends it; it is loaded again."""
        assert self._idle is not None
        self._idle.is_broken = True
        self._wake()

    def _wake(self) -> None:
        self._owner.wake()

    def _load(self, config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
        if self.failure is not None:
            raise self.failure
        folder = config.data_dir
        rig = make_rig(
            home=home,
            disk=None if folder is None else make_disk(folder / "kv", wake=home.wake),
            num_blocks=self._num_blocks,
            block_size=BLOCK_SIZE,
            context_length=self._context_length,
            max_num_sequences=self._max_num_sequences,
            max_queue=self._max_queue,
            titles=False,
        )
        self._idle = PausableIdle(rig.core.parts.idle)
        parts = {name: getattr(rig.core.parts, name) for name in CoreParts.__slots__}
        parts["idle"] = cast(Idle, self._idle)
        told: dict[str, Any] = {
            "name": "scripted-model",
            "context_length": rig.context_length,
            "has_chat_template": True,
            "kv_precision": "f32",
            "kv_block_bytes": 512,
            "num_blocks": rig.pool.num_blocks,
            "block_size": rig.block_size,
            "num_threads": 1,
        }
        return ScriptedCore(CoreParts(**parts), self.script), ModelInfo(**told | self._told)


class Engines:
    """Makes scripted engines for a few turns each, and ends them all when the test is over.

    One whose blocks do not add up in the end, or that ended by a bug of its own, fails the test.
    """

    def __init__(self) -> None:
        self._made: list[ScriptedEngine] = []

    def __call__(self, data_dir: Path | None = None, **options: Any) -> ScriptedEngine:
        """One that loads."""
        engine = self.unstarted(data_dir, **options)
        engine.start()
        return engine

    def unstarted(self, data_dir: Path | None = None, **options: Any) -> ScriptedEngine:
        """One that loads once the test lets it `start`."""
        self._made.append(ScriptedEngine(data_dir, **({"num_blocks": 1024} | options)))
        return self._made[-1]

    def close(self) -> None:
        """End all of them."""
        try:
            for engine in self._made:
                if engine.status == "ready":
                    engine.check()
                assert engine.error is engine.failure
        finally:
            for engine in self._made:
                engine.close(PATIENCE_S)
