"""Code in Markdown, told from prose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.writing.code import parts


def code_of(text: str) -> list[str]:
    return [part for is_code, part in parts(text) if is_code]


@given(st.text(st.sampled_from("`~ \n\t>-a1.\\$<"), max_size=60))
def test_the_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(part for _, part in parts(text)) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a `b` c", ["`b`"]),
        ("a ``b ` c`` d", ["``b ` c``"]),
        ("a `b\n\nc` d", []),
        (r"a \`b` c", []),
        ("```py\nx\n```\ny", ["```py\nx\n```\n"]),
        ("```\nx\n~~~\ny", ["```\nx\n~~~\ny"]),
        ("````\n```\nx\n````\ny", ["````\n```\nx\n````\n"]),
        ("- a\n\n  ```\n  x\n  ```\n  y", ["  ```\n  x\n  ```\n"]),
        ("> ~~~\n> x\n> ~~~\ny", ["> ~~~\n> x\n> ~~~\n"]),
        ("``` `a` b", ["`a`"]),
        ("a\n\n    x\n    y\n\nb", ["    x\n    y\n"]),
        ("a\n    b", []),
        ("- a\n\n    b", []),
    ],
)
def test_code_is_told_from_prose(text: str, code: list[str]) -> None:
    assert code_of(text) == code
