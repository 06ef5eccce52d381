"""What there is to show of a turn at one moment.

Values only. Does not know Gradio, languages, or how a turn is run.
"""

from dataclasses import dataclass, replace

from engine import events
from engine.conversations import Entry


@dataclass(frozen=True, slots=True)
class Preparing:
    """The engine does not take turns yet: the model is being exported or loaded."""


Progress = Preparing | events.Queued | events.Prefilling


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a turn.

    kept: the conversation before it, and at the end all of it (then `is_whole`). text: the reply, with
    what there was of it before, if it goes on. progress: why there is no more text yet. finished:
    the last event. refused: a sentence, when the turn was not taken. is_busy: it was not, because
    too many wait. opens_thinking: the reply begins inside the model's thoughts. is_abandoned: it was
    stopped, and what the engine is still at is not waited for.
    """

    kept: tuple[Entry, ...]
    message: str
    text: str = ""
    progress: Progress | None = None
    finished: events.Finished | None = None
    refused: str | None = None
    is_whole: bool = False
    is_busy: bool = False
    is_abandoned: bool = False
    opens_thinking: bool = False

    @property
    def is_last(self) -> bool:
        """Whether nothing more will come of this turn."""
        return self.finished is not None or self.refused is not None or self.is_abandoned

    def after(self, event: events.Event) -> "Frame":
        """The frame once `event` has come."""
        match event:
            case events.Text(text=text):
                return replace(self, text=self.text + text, progress=None)
            case events.Thinking():
                return replace(self, opens_thinking=True)
            case events.Finished():
                return replace(self, finished=event, progress=None)
            case _:
                return replace(self, progress=event)
