"""What nobody foresaw, and what goes on all the same.

Owns: that such an exception is one line in the log, and ends what it came from alone. Errors that are
raised on purpose are engine.errors'.
"""

import logging
from types import TracebackType


class Survived:
    """`with Survived(log, "A command failed") as command:` logs what is raised, and swallows it.

    Only exceptions, as `except Exception` does; `failed` says afterwards whether there was one.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self.failed = False

    def __enter__(self) -> "Survived":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.failed = True
        self._log.error("%s: %s", self._what, one_line(error))
        return True


def one_line(error: BaseException) -> str:
    """What went wrong and where."""
    text, place = " ".join(str(error).split())[:300], ""
    trace = error.__traceback__
    while trace is not None:
        place = f" ({trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {text}{place}"
