"""What there is to show of a turn at one moment, and the figures of the replies already given.

Values, and one bounded store. Does not know Gradio, languages, or how a turn is run.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine import events
from engine.conversation import Entry

_ENDINGS_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Preparing:
    """The engine does not take turns yet: the model is being exported or loaded."""


Progress = Preparing | events.Queued | events.Prefilling


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a turn.

    kept: the conversation before it, and at the end all of it (then `is_whole`). progress: why there
    is no text yet. finished: the last event. refused: a sentence, when the turn was not taken.
    """

    kept: tuple[Entry, ...]
    message: str
    text: str = ""
    progress: Progress | None = None
    finished: events.Finished | None = None
    refused: str | None = None
    is_whole: bool = False

    @property
    def is_last(self) -> bool:
        """Whether nothing more will come of this turn."""
        return self.finished is not None or self.refused is not None

    def after(self, event: events.Event) -> "Frame":
        """The frame once `event` has come."""
        match event:
            case events.Text(text=text):
                return replace(self, text=self.text + text, progress=None)
            case events.Finished():
                return replace(self, finished=event, progress=None)
            case _:
                return replace(self, progress=event)


Endings = Mapping[int, events.Finished]


@dataclass(slots=True)
class EndingLog:
    """How replies ended, by the id of the message, for pages that are loaded anew."""

    endings: OrderedDict[int, events.Finished] = field(default_factory=OrderedDict)

    def add(self, node_id: int, ending: events.Finished) -> None:
        """Remember how the reply `node_id` ended; the oldest of very many is forgotten."""
        self.endings[node_id] = ending
        if len(self.endings) > _ENDINGS_REMEMBERED:
            self.endings.popitem(last=False)
