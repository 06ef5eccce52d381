"""The terminal, which may know fewer characters than people and models write: Windows' in cp1252, a pipe in ASCII."""

from __future__ import annotations

import io
import sys


def write_what_can_be_written() -> None:
    """From now on standard output and errors show a question mark for a character that they do not know."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
