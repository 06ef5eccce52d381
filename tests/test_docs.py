"""What README, CONTRIBUTING and the notes name is there."""

import re
from pathlib import Path

import pytest

from tests import ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "bench/NOTES.md"]
FILE = re.compile(r"(?:[\w.-]+/)*[\w-]+\.(?:py|sh|md|txt|png|jinja)\b")
ELSEWHERE = {
    "users.txt",
    "keys.txt",
    "chat_template.jinja",
}  # what a reader makes, or a model brings
BY_HAND = re.compile(r"make (\w+)")


def files() -> list[str]:
    folders = ("app.py", "api", "engine", "export", "web", "bench", "tests", "docs")
    found = [path for name in folders for path in [ROOT / name, *(ROOT / name).rglob("*")]]
    return [str(path.relative_to(ROOT)) for path in [*found, *ROOT.glob("*.*")]]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_is_there(document: str) -> None:
    there = files()
    text = (ROOT / document).read_text("utf-8")
    named = {name for name in FILE.findall(text) if "." in Path(name).name} - ELSEWHERE
    assert [n for n in sorted(named) if not any(f"/{t}".endswith(f"/{n}") for t in there)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_that_is_named_is_one(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = (ROOT / document).read_text("utf-8")
    for target in BY_HAND.findall(
        " ".join(re.findall(r"`[^`]+`|^    make .*$", text, re.MULTILINE))
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
