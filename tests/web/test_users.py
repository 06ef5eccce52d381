import asyncio
import getpass
import statistics
import time
from pathlib import Path

import pytest

from web import users
from web.options import parse_options
from web.users import Users, UsersError, hashed, read_file, read_hash, read_pair

# Of "geheim"; fixed, since the names of tests are made of it, in each process that runs some.
ANNA = read_hash(
    "scrypt$15$8$1$ISvVxrbmA0jtpAgWxxCVjw==$cfv19oT3XSmsPn2sQHOoLgQSFPKLkI88NBV0w1TQNLU="
)


def check(known: Users, name: str, password: str) -> bool:
    return asyncio.run(known.check(name, password))


def test_only_the_right_password_of_a_known_name_fits() -> None:
    known = Users({"anna": ANNA})
    assert check(known, "anna", "geheim")
    for name, password in (("anna", "Geheim"), ("anna", ""), ("bert", "geheim"), ("", "")):
        assert not check(known, name, password)


def test_an_unknown_name_takes_as_long_as_a_known_one() -> None:
    known = Users({"anna": ANNA})

    def seconds(name: str) -> float:
        taken = []
        for _ in range(5):
            start = time.process_time()
            check(known, name, "wrong")
            taken.append(time.process_time() - start)
        return statistics.median(taken)

    assert seconds("bert") > seconds("anna") / 2


def test_a_hash_is_read_as_it_was_written_and_has_salt_of_its_own() -> None:
    assert read_hash(str(ANNA)) == ANNA
    assert str(ANNA).startswith("scrypt$15$8$1$")
    assert hashed("geheim") != ANNA
    assert "geheim" not in str(ANNA)


def test_the_same_letters_in_another_unicode_form_fit() -> None:
    assert hashed("caf\u00e9").fits("cafe\u0301")


@pytest.mark.parametrize(
    "text",
    ["", "geheim", "scrypt$15$8$1$x", "bcrypt" + str(ANNA)[6:], "scrypt$60$8$1$AAAA$" + "A" * 44,
     "scrypt$15$8$1$AAAA$AAAA", "scrypt$x$8$1$AAAA$" + "A" * 44],
)  # fmt: skip
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(UsersError, match=r"python -m web\.users NAME"):
        read_hash(text)


def test_a_file_holds_a_user_a_line(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text(f"# who may come in\n\nanna:{ANNA}\n小明:{hashed('b')}\n", "utf-8")
    assert list(read_file(file)) == ["anna", "小明"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"anna\n", "line 1: there is no colon"),
        (f"anna:{ANNA}\nbert:secret\n".encode(), "line 2: the hash is not one"),
        (f"anna:{ANNA}\nanna:{ANNA}\n".encode(), "line 2: anna is there twice"),
        (f":{ANNA}\n".encode(), "line 1: '' is not a name"),
        (b"\n# nobody\n", "nobody is in it"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_wrong_line_gets_a_sentence_at_start(
    tmp_path: Path, content: bytes, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "users.txt"
    file.write_bytes(content)
    with pytest.raises(SystemExit):
        parse_options(["--auth-file", str(file)], {})
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_an_absent_file_gets_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--auth-file", "/nowhere/users.txt"], {})
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["anna", "anna:", ":geheim", "a\tb:c"])
def test_auth_wants_a_name_and_a_password(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsersError):
        read_pair(text)
    with pytest.raises(SystemExit):
        parse_options(["--auth", text], {})
    assert capsys.readouterr().err.count("\n") == 1


def test_both_options_together_let_all_of_them_in(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text(f"anna:{ANNA}\n")
    options = parse_options(["--auth-file", str(file)], {"WARMCHAT_AUTH": "bert:a:b"})
    assert options.users is not None
    assert check(options.users, "anna", "geheim")
    assert check(options.users, "bert", "a:b")
    assert parse_options([], {}).users is None
    assert "a:b" not in repr(options)


def test_the_command_prints_a_line_that_the_file_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: "geheim")
    assert users.main(["anna"]) == 0
    file = tmp_path / "users.txt"
    file.write_text(capsys.readouterr().out)
    assert read_file(file)["anna"].fits("geheim")


@pytest.mark.parametrize(("name", "typed"), [("a:b", "x"), ("anna", ""), ("anna", None)])
def test_the_command_refuses_what_cannot_be(
    name: str, typed: str | None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    answers = iter(["one", "other"] if typed is None else [typed, typed])
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(answers))
    assert users.main([name]) == 2
    assert capsys.readouterr().out == ""
