"""From the options to an engine that takes turns, while the page is already there.

Owns: the order export, load, ready, and what to say at each point. Runs in its own thread; its
attributes may be read from any. Does not know Gradio.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from engine import Engine, EngineConfig
from engine.config import COMPARED
from engine.errors import EngineError
from engine.events import Finished
from export import ExportError
from export.catalog import CATALOG
from export.progress import Progress
from web.crowd import ANSWERS_AT_ONCE, most_asking
from web.languages import ENGLISH, say
from web.model_source import ModelChoice, Tell, ready_model
from web.options import Options

log = logging.getLogger(__name__)

Phase = Literal["exporting", "loading", "ready", "failed"]
EngineFactory = Callable[[Options, Progress], Engine]


@dataclass(frozen=True, slots=True)
class Step:
    """A long step of the export: its name, and how far it is (0 to 100)."""

    what: str
    percent: int


def build_engine(options: Options, progress: Progress, tell: Tell | None = None) -> Engine:
    """A started engine for the options, its model exported first if need be.

    progress is called with (what, done, total) during an export, `tell` when the model is chosen.
    Raises ExportError, EngineError.
    """

    def chosen(choice: ModelChoice) -> None:
        if choice.note is not None:
            log.warning("%s", say(ENGLISH, choice.note))
        if tell is not None:
            tell(choice)

    choice = ready_model(options.model, options.data_dir, progress, chosen)
    config = EngineConfig(
        model_dir=choice.directory,
        device=options.device,
        kv_budget_bytes=options.kv_budget_bytes,
        precision=options.precision,
        overflow=options.overflow,
        kv_precision=options.kv_precision,
        chat_template=options.chat_template,
        system_prompt=options.system_prompt or advised_prompt(choice.directory),
        data_dir=None if options.is_in_terminal else options.data_dir,
        compared=options.data_dir / COMPARED,
        storage=options.storage,
        disk_budget_bytes=options.disk_budget_bytes,
        num_threads=options.num_threads,
        single_token_graph=options.single_token_graph,
        titles=options.titles,
        max_num_sequences=ANSWERS_AT_ONCE,
        max_queue=options.max_queue,
    )
    return Engine(config).start()


def advised_prompt(model_dir: Path) -> str | None:
    """The system prompt that a model of the catalog is best used with."""
    entry = CATALOG.get(model_dir.name)
    return entry.system_prompt if entry else None


class Startup:
    """Brings the engine up in the background. observers: are told of each turn's end. restarts: of the program, because of faults, before this."""

    def __init__(
        self, options: Options, factory: EngineFactory | None = None, restarts: int = 0
    ) -> None:
        self.options = options
        self._restarts = restarts
        self.choice: ModelChoice | None = None
        self.engine: Engine | None = None
        self.step: Step | None = None
        self.observers: list[Callable[[Finished], object]] = []
        self._factory = factory or partial(build_engine, tell=self._choose)
        self._weights: str | None = None
        self._failure: str | None = None
        self._num_waiting = 0
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="startup", daemon=True)

    def start(self) -> "Startup":
        """Begin; returns at once."""
        self._thread.start()
        return self

    @property
    def failure(self) -> str | None:
        """Why there are no turns: the start failed, or the engine ended afterwards."""
        engine = self.engine
        if self._failure is None and engine is not None and engine.status in ("failed", "closed"):
            return str(engine.error or "The engine is stopping.")
        return self._failure

    @property
    def phase(self) -> Phase:
        """Where the start is."""
        if self.failure is not None:
            return "failed"
        if self._ready.is_set():
            return "ready"
        return "loading" if self.engine is not None else "exporting"

    @property
    def is_settled(self) -> bool:
        """Whether the start is over, well or not."""
        return self.phase in ("ready", "failed")

    @property
    def restarts(self) -> int:
        """How often a fault has ended the engine, which was then started again."""
        return self._restarts + (self.engine.restarts if self.engine is not None else 0)

    @property
    def is_alive(self) -> bool:
        """Whether the export, the load or the engine still runs."""
        return self._thread.is_alive() or (self.engine is not None and self.engine.is_alive)

    @property
    def model_name(self) -> str:
        """The model's name for people."""
        if self.engine is not None and self.phase == "ready":
            return self.engine.info.name
        if self.choice is not None:
            return self.choice.directory.name
        return self.options.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def model_facts(self) -> str:
        """What else people want to know of it: the format of its weights, and the device."""
        return " · ".join(filter(None, (self._weights, self.options.device)))

    @contextmanager
    def waiting(self) -> Iterator[bool]:
        """While a turn waits for the model; whether there was a place for one more. For one event loop."""
        has_place = self._num_waiting < most_asking(self.options)
        self._num_waiting += has_place
        try:
            yield has_place
        finally:
            self._num_waiting -= has_place

    def close(self, timeout_s: float) -> None:
        """Close the engine, or interrupt the export that precedes it."""
        self._closing.set()
        if self.engine is not None:
            self.engine.close(timeout_s)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _choose(self, choice: ModelChoice) -> None:
        self.choice = choice

    def _run(self) -> None:
        try:
            self.engine = self._factory(self.options, self._progress)
            self.engine.observers = self.observers
            self.engine.wait_ready()
            self._weights = self.choice.weights if self.choice is not None else None
        except (EngineError, ExportError) as error:
            self._failure = str(error)
        except OSError as error:
            # Visitors read the sentence; where the file is, the log alone says.
            log.error("%s: %s", error.filename or self.options.data_dir, error.strerror)
            self._failure = f"A file cannot be used ({error.strerror}); the server's log names it."
        except Exception as error:
            log.exception("The start failed")
            self._failure = f"The start failed: {error}"
        if self._failure is not None:
            log.error("%s", self._failure)
        self._ready.set()

    def _progress(self, what: str, done: int, total: int) -> None:
        if self._closing.is_set():
            raise ExportError("The export was interrupted; the next start makes it anew.")
        step = Step(what, round(100 * done / total) if total else 0)
        if step != self.step:
            self.step = step
            if step.percent % 10 == 0:
                log.info("%s: %d %%", step.what, step.percent)
