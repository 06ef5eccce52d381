"""What the browser gets: styles, scripts and pictures, each file beside this one, and the words that scripts say."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from web.languages import LANGUAGES, TEXTS

_FOLDER = Path(__file__).parent


def path(name: str) -> Path:
    """Where the file is."""
    return _FOLDER / name


def text(*names: str) -> str:
    """What the files say, one behind another."""
    return "".join(path(name).read_text("utf-8") for name in names)


def speaking(keys: Iterable[str], *names: str) -> str:
    """The scripts, with the texts of these keys in every language in the place of __WORDS__."""
    words = {language: {key: TEXTS[language][key] for key in keys} for language in LANGUAGES}
    return text(*names).replace("__WORDS__", literal(words))


def literal(value: Any) -> str:
    """The value as a script has it, within HTML too."""
    return json.dumps(value).replace("<", "\\u003c")


def tells(event: str) -> str:
    """A script that tells the scripts beside the list of an event."""
    return f"() => {{ window.dispatchEvent(new Event('{event}')); }}"
