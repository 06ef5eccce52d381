"""Text in angle brackets is shown."""

import pytest

from web.writing import answered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Explain <channel> in XML", "Explain &#x0003c;channel> in XML"),
        ("the <script> tag, <style> and </style>", "the &#x0003c;script> tag, &#x0003c;style> and &#x0003c;/style>"),
        ('<button class="go-on">x</button>', '&#x0003c;button class="go-on">x&#x0003c;/button>'),
        ("<b onclick='x'>", "&#x0003c;b onclick='x'>"),
        ("<!-- a --> <?xml?> <!DOCTYPE html>", "&#x0003c;!-- a --> &#x0003c;?xml?> &#x0003c;!DOCTYPE html>"),
        ("a<br>b <sub>2</sub> <kbd>x</kbd> <BR/>", "a<br>b <sub>2</sub> <kbd>x</kbd> <BR/>"),
        ("<https://example.org/a?b> <a.b@c.de>", "<https://example.org/a?b> <a.b@c.de>"),
        ("1 < 2 and a <- b", "1 < 2 and a <- b"),
        ("`<channel>`\n```xml\n<title/>\n```\n", "`<channel>`\n```xml\n<title/>\n```\n"),
    ],
)  # fmt: skip
def test_angle_brackets_are_shown_as_written(text: str, shown: str) -> None:
    assert answered(text) == shown


def test_a_formula_keeps_its_signs() -> None:
    assert "a<b" in answered("$a<b$ <c>")
