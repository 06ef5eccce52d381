"""What the browser gets as it is: styles, scripts and the logo, each file beside this one."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def path(name: str) -> Path:
    """Where the file is."""
    return _FOLDER / name


def text(*names: str) -> str:
    """What the files say, one behind another."""
    return "".join(path(name).read_text("utf-8") for name in names)


def literal(value: Any) -> str:
    """The value as a script has it, within HTML too."""
    return json.dumps(value).replace("<", "\\u003c")


def tells(event: str) -> str:
    """A script that tells the scripts beside the list of an event."""
    return f"() => {{ window.dispatchEvent(new Event('{event}')); }}"
