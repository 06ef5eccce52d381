import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from web.keys import Keys, main, new_key
from web.users import UsersError, read_file


def test_a_new_key_is_known_by_its_line(tmp_path: Path) -> None:
    key, line = new_key("anna-1")
    assert key not in line
    file = tmp_path / "keys.txt"
    file.write_text(line)
    keys = Keys(read_file(file))

    async def names() -> list[str | None]:
        asked = (
            key,
            key,
            key[:-1],
            "anna-1",
            "",
            ".",
            "anna-1.",
            key.replace("1", "2", 1),
            "\ud800",
        )
        return [await keys.name_of(each) for each in asked]

    assert asyncio.run(names()) == ["anna-1", "anna-1", *[None] * 7]


def test_a_key_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, line = new_key("anna")
    name, _, text = line.partition(":")
    del text
    hashed: list[str] = []

    class Counting:
        def fits(self, password: str) -> bool:
            hashed.append(password)
            return password == "right"

    keys = Keys({name: Counting()})  # type: ignore[dict-item]

    async def ask() -> None:
        for key in ("anna.right", "anna.wrong") * 3:
            await keys.name_of(key)

    asyncio.run(ask())
    assert sorted(hashed) == ["right", "wrong"]


@pytest.mark.parametrize("name", ["", "an na", "a.b", "é", "x" * 65, "a:b"])
def test_a_name_that_cannot_be_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsersError):
        new_key(name)
    assert main([name]) == 2
    assert "letters, digits" in capsys.readouterr().err


def test_the_command_prints_the_line_alone_on_standard_output() -> None:
    command = [sys.executable, "-m", "web.keys", "anna"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("anna:scrypt$")
    assert made.stdout.count("\n") == 1
    assert "anna." in made.stderr
