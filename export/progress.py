"""Progress of long steps: a function of (what, done, total), and the bars that draw it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as a step advances; `done` reaches `total` when it ends."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `what` are ready."""


def silent(what: str, done: int, total: int) -> None:
    """Show nothing."""


class Bars:
    """One bar of the terminal for each step, with the time left."""

    def __init__(self) -> None:
        self._what: str | None = None
        self._bar: object = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Draw; a new `what` starts a new bar."""
        from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415

        if what != self._what:
            self.close()
            self._what, self._bar = what, tqdm(desc=what, total=total, unit_scale=True)
        bar = self._bar
        assert isinstance(bar, tqdm)
        bar.total = total
        bar.update(done - bar.n)

    def close(self) -> None:
        """End the current bar."""
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]
        self._what, self._bar = None, None
