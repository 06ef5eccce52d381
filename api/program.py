"""What the API needs to know of the program that it is a part of."""

from collections.abc import Callable
from typing import Literal, Protocol

from engine import Engine
from engine.events import Finished

OWNER = "warmchat.owner"  # of a request's scope: whose conversations it is about
NAMED = "warmchat.named"  # the Host that a request came with, where a proxy has told another

Phase = Literal["exporting", "loading", "ready", "failed"]


class Program(Protocol):
    """One run of the program. Its attributes may be read from any thread. observers: are told of each turn's end."""

    observers: list[Callable[[Finished], object]]

    @property
    def engine(self) -> Engine | None:
        """None until the model is chosen."""

    @property
    def phase(self) -> Phase:
        """How far the start is."""

    @property
    def failure(self) -> str | None:
        """Why there are no turns."""

    @property
    def model_name(self) -> str:
        """The model's name."""
