"""A whole EngineCore over the fake model, and what tests do with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from engine.config import EngineConfig
from engine.conversations import Home
from engine.conversations.journal import Journal
from engine.conversations.session import Branch, Session, SessionId, SessionTable
from engine.conversations.store import Store
from engine.errors import EngineError
from engine.events import Event, Finished, FinishReason, Text
from engine.grammars import GrammarCompiler, GrammarConstraint
from engine.loading import ModelInfo
from engine.metrics import TurnFigures
from engine.model.runner import Runner
from engine.model.warm_up import WarmUp
from engine.owner import Loader
from engine.scheduling.block_pool import BlockPool
from engine.scheduling.checkpoints import state_pool
from engine.scheduling.pace import Pace
from engine.scheduling.sampling import SamplingParams
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.sequence import Sequence
from engine.text.chat_template import ChatTemplate, Message
from engine.text.rendering import Renderer, Setting
from engine.text.tokenizer import Tokenizer
from engine.tiers.disk import Disk
from engine.tiers.snapshot import Fingerprint
from engine.tiers.snapshot_folder import SnapshotFolder
from engine.tiers.tiers import Tiers
from engine.tiers.transfer import Transfer
from engine.turns import assemble
from engine.turns.core import EngineCore
from engine.turns.prompt import PromptBuilder
from engine.turns.turn import TurnRequest
from tests.engine.fakes import CHATML, EOS, Choose, FakeModel, FakeTokenizer, babble

FINGERPRINT = Fingerprint("fake", "fake", "f32", "2 tensors", "none")
PATIENCE_S = 60.0  # what is late on a busy machine is not wrong
GREEDY = SamplingParams(temperature=0, max_tokens=40)
FINGERPRINT = Fingerprint("model", "tokenizer", "u8", "layout", "openvino")


class AlwaysRestore(Pace):
    """The fake model prefills faster than any disk reads; tests of the disk want it read."""

    def restore_pays(self, num_tokens: int, num_bytes: int) -> bool:
        return True


@dataclass
class Asked:
    """A request and what came of it."""

    request: TurnRequest
    events: list[Event | EngineError] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Finished)

    @property
    def over(self) -> bool:
        """Whether nothing comes any more, be it an end or what refused the request late."""
        return bool(self.events) and isinstance(self.events[-1], Finished | EngineError)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def end(self) -> Finished:
        ends = [event for event in self.events if isinstance(event, Finished)]
        assert len(ends) == 1, "a turn ends exactly once"
        assert self.events[-1] is ends[0], "nothing comes after the end"
        return ends[0]

    @property
    def reason(self) -> FinishReason:
        return self.end.reason

    @property
    def figures(self) -> TurnFigures:
        return self.end.figures


@dataclass
class Rig:
    """The parts of a core, with everything that a test wants to look at."""

    core: EngineCore
    model: FakeModel
    tokenizer: FakeTokenizer
    home: Home
    context_length: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def pool(self) -> BlockPool:
        return self.core.parts.pool

    @property
    def block_size(self) -> int:
        return self.pool.block_size

    @property
    def scheduler(self) -> Scheduler:
        return self.core.parts.scheduler

    def session(self, name: str = "one") -> Session:
        return self.home.sessions.open(_id(name))

    def sequence(self, name: str = "one") -> Sequence:
        return self.session(name).active.sequence

    def tokens(self, name: str = "one") -> list[int]:
        """The tokens of what was said, without what is prefilled ahead."""
        branch = self.session(name).active
        if branch.is_idle:
            return branch.sequence.tokens[: branch.ledger.num_tokens]
        return branch.sequence.tokens

    def rest(self, max_steps: int = 3000) -> None:
        """Do all idle work there is, without waiting for the moment to save."""
        for _ in range(max_steps):
            if self.core.parts.idle.is_warm:
                return
            self.core.parts.idle.step()
        raise AssertionError("idle work does not end")

    def begin(
        self,
        message: str,
        name: str = "one",
        params: SamplingParams = GREEDY,
        *,
        keep: int | None = None,
        system: str | None = None,
        grammar: GrammarConstraint | None = None,
        **template_options: Any,
    ) -> Asked:
        self.session(name)
        setting = Setting(system, template_options)
        request = TurnRequest(_id(name), message, params, _nobody, keep, setting)
        request.constraint = grammar
        return self.submit(request)

    def begin_more(
        self, name: str = "one", params: SamplingParams = GREEDY, *, system: str | None = None
    ) -> Asked:
        """Go on with the last reply."""
        self.session(name)
        setting = Setting(system)
        return self.submit(
            TurnRequest(_id(name), "", params, _nobody, None, setting, continues=True)
        )

    def more(self, name: str = "one", params: SamplingParams = GREEDY, **options: Any) -> Asked:
        """Go on with the last reply until it is over."""
        asked = self.begin_more(name, params, **options)
        self._step_until(lambda: asked.over)
        return asked

    def submit(self, request: TurnRequest) -> Asked:
        asked = Asked(request)
        request.emit = asked.events.append
        self.core.begin(request)
        self.asked.append(asked)
        return asked

    def run(self, max_steps: int = 3000) -> None:
        self._step_until(
            lambda: not self.core.has_work and all(asked.over for asked in self.asked), max_steps
        )

    def _step_until(self, is_over: Callable[[], bool], max_steps: int = 3000) -> None:
        """Steps; while there is nothing to do, the disk is waited for."""
        gives_up_at = time.monotonic() + PATIENCE_S
        while not is_over():
            assert time.monotonic() < gives_up_at, "the disk is waited for in vain"
            max_steps -= self.core.has_work
            assert max_steps >= 0, f"still not done after so many steps: {self._state()}"
            self.step()

    def _state(self) -> str:
        scheduler, pool = self.core.parts.scheduler, self.pool
        lengths = [len(sequence.tokens) for sequence in (*scheduler.running, *scheduler.waiting)]
        return f"{lengths} tokens run or wait, {pool.num_free} of {pool.num_blocks} blocks are free"

    def step(self) -> None:
        """One step, or a short wait for the disk."""
        if not self.core.has_work:
            time.sleep(0.0005)
        self.core.step()

    def chat(
        self,
        message: str,
        name: str = "one",
        params: SamplingParams = GREEDY,
        **options: Any,
    ) -> Asked:
        """A whole turn, alone or beside what runs already."""
        asked = self.begin(message, name, params, **options)
        self._step_until(lambda: asked.over)
        return asked

    @property
    def tiers(self) -> Tiers:
        return self.core.parts.tiers

    def spill(self) -> None:
        """Take every block that idle sessions hold, and wait for the disk."""
        self.tiers.reclaim(self.pool.num_blocks)
        self.wait_for_disk()

    def save(self) -> None:
        """What idle time writes to disk, all of it at once."""
        while self.tiers.saving.wait_s() is not None:
            self.tiers.saving.step()
        self.wait_for_disk()

    def wait_for_disk(self) -> None:
        if self.tiers.disk is not None:
            self.tiers.disk.flush(10)

    def stop(self) -> None:
        """A clean end of the program."""
        self.core.cancel_all()
        self.tiers.saving.save_all(time.monotonic() + 10)
        self.home.journal.close()

    def versions(self, index: int, name: str = "one") -> tuple[int, ...]:
        """The ids of the versions of a message."""
        return self.session(name).transcript[index].versions

    def show(self, node_id: int | None, name: str = "one") -> None:
        """As Engine.switch: to a version of a message, and what was last said behind it."""
        session = self.session(name)
        leaf = None if node_id is None else session.conversation.newest_leaf(node_id)
        self.core.show(session, leaf)

    def edit(self, index: int, text: str, name: str = "one") -> None:
        """As Engine.edit_reply, of a message that is shown."""
        session = self.session(name)
        self.core.edit(session, session.transcript[index].node.id, text)

    def check(self) -> None:
        """Everything that holds between two steps, whatever happened before."""
        self.core.check_integrity()
        for _, _, branch in self.home.sessions.branches():
            if branch.is_idle:
                assert branch.ledger.num_tokens <= len(branch.sequence.tokens)
                check_spelling(branch, self.tokenizer)


def check_spelling(branch: Branch, tokenizer: FakeTokenizer) -> None:
    """Each segment's text is what its tokens say."""
    begin = 0
    for segment in branch.ledger.segments:
        tokens = branch.sequence.tokens[begin : begin + segment.num_tokens]
        begin += segment.num_tokens
        if segment.ends is None:
            assert tokens == tokenizer.encode(segment.text)
        else:
            assert tokenizer.escape_spoken(tokenizer.decode(tokens)) == segment.text


def make_rig(
    *,
    num_blocks: int = 64,
    block_size: int = 4,
    context_length: int | None = None,
    choose: Choose = babble,
    template: str | None = CHATML,
    max_num_sequences: int = 8,
    max_num_batched_tokens: int = 32,
    max_prefill_beside_decode: int = 8,
    system_prompt: str | None = None,
    home: Home | None = None,
    disk: Disk | None = None,
    shifts: bool = False,
    titles: bool = True,
    speculation: bool = False,
    has_single_token_graph: bool = False,
    max_queue: int | None = None,
    warm_up_shapes: tuple[tuple[int, ...], ...] = (),
    num_states: int = 0,
    tokenizer: FakeTokenizer | None = None,
) -> Rig:
    context_length = min(context_length or 1 << 20, num_blocks * block_size)
    home = home or make_home()
    pool = BlockPool(num_blocks, block_size, state_pool(num_states) if num_states else None)
    model = FakeModel(
        num_blocks,
        block_size,
        has_single_token_graph=has_single_token_graph,
        num_states=num_states,
    )
    tokenizer = tokenizer or FakeTokenizer()
    model.choose = choose
    chat_template = None if template is None else ChatTemplate(template, {})
    compiled = cast(Tokenizer, tokenizer)
    runner = Runner(model, model.copy_block)
    tiers = Tiers(
        pool=pool,
        transfer=Transfer(pool, model, runner.run, model.states),
        sessions=home.sessions,
        pace=AlwaysRestore(),
        block_bytes=16 * block_size,
        state_bytes=8 if num_states else 0,
        disk=disk,
    )
    renderer = Renderer(compiled, chat_template, system_prompt)
    core = assemble(
        EngineConfig(
            model_dir=Path("nowhere"),
            max_num_sequences=max_num_sequences,
            max_num_batched_tokens=max_num_batched_tokens,
            max_prefill_beside_decode=max_prefill_beside_decode,
            max_queue=max_queue,
            titles=titles,
            speculation=speculation,
        ),
        home,
        runner=runner,
        tiers=tiers,
        prompts=PromptBuilder(renderer, context_length),
        tokenizer=compiled,
        grammars=GrammarCompiler(tokenizer.vocabulary, model.vocab_size, [EOS]),
        eos_token_ids=frozenset({EOS}),
        context_length=context_length,
        warm_up=WarmUp(runner.run, pool, warm_up_shapes),
        fingerprint=FINGERPRINT,
        move=model.move if shifts else None,
    )
    if system_prompt:
        prefixes = core.parts.opening.prefixes
        prefixes.prepare_operator(renderer.operator_tokens(), runner, tiers)
    return Rig(core, model, tokenizer, home, context_length)


def make_home(store: Store | None = None) -> Home:
    journal = Journal(store)
    return Home(SessionTable(journal.load), journal, lambda: None)


def make_disk(
    folder: Path, budget_bytes: int | None = None, wake: Callable[[], object] = lambda: None
) -> Disk:
    return Disk(SnapshotFolder(folder, budget_bytes), FINGERPRINT, wake)


def make_stored_rig(folder: Path, **options: Any) -> Rig:
    """A rig with its conversations and its KV in `folder`, as after a start of the program."""
    home = make_home(Store(folder / "warmchat.db"))
    return make_rig(home=home, disk=make_disk(folder / "kv"), **options)


def make_loader(made: list[Rig], **options: Any) -> Loader:
    """A loader for Engine that puts the rig it makes into `made`."""

    def load(_config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
        rig = make_rig(home=home, **options)
        made.append(rig)
        info = ModelInfo(
            name="fake",
            context_length=rig.context_length,
            has_chat_template=True,
            kv_precision="f32",
            kv_block_bytes=1,
            num_blocks=rig.pool.num_blocks,
            block_size=rig.block_size,
            num_threads=1,
        )
        return rig.core, info

    return load


def config() -> EngineConfig:
    return EngineConfig(model_dir=Path("nowhere"), debug=True)


def user(content: str) -> Message:
    return Message("user", content)


def assistant(content: str) -> Message:
    return Message("assistant", content)


def session_id(name: str = "one") -> SessionId:
    return _id(name)


def _id(name: str) -> SessionId:
    """ "name", or "owner/name"."""
    owner, _, conversation = name.rpartition("/")
    return SessionId(owner or "owner", conversation)


def _nobody(_event: Event | EngineError) -> None:
    raise AssertionError("the request has no listener yet")
