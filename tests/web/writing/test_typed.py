"""What a person types is shown as typed, and comes back exactly."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from web.writing import read_typed, typed
from web.writing.mathematics import WRITTEN

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\t<>&$\\()[]`x=\ufde0\ufde7\ufdef"),
    max_size=60,
)  # fmt: skip


@given(texts)
@example("  if x:\n\n\ty")
@example("$x<y$ and \\(a & b\\) &amp; &#36;")
@example(typed("typed"))
@example('<div class="typed">a</div>')
def test_what_was_typed_comes_back_exactly(text: str) -> None:
    assert read_typed(typed(text)) == text


@pytest.mark.parametrize(
    "text", ["---", "# x", "* a", "1. a\n\n    b", "<script>x</script>", "`a`"]
)
def test_nothing_in_it_is_markdown_or_html(text: str) -> None:
    inner = typed(text).removesuffix("</div>").partition(">")[2]
    assert re.fullmatch(r"(?:[^<>\n`*]|&#\d+;)*", inner)
    assert "\n" not in typed(text)


def test_mathematics_in_it_is_marked_but_for_code() -> None:
    marks = [sign for sign in typed("$x$ \\[y\\] `$z$` $5") if sign in WRITTEN]
    assert [WRITTEN[sign] for sign in marks] == ["$", "$", r"\[", r"\]"]


def test_what_is_not_in_that_form_is_the_text_itself() -> None:
    assert read_typed("plain & <b>") == "plain & <b>"
    assert typed("") == ""
