r"""What is mathematics, and what is money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.writing import answered
from web.writing.mathematics import as_written, pieces, without_open


def formulas(text: str) -> list[str]:
    return [as_written(piece) for is_formula, piece in pieces(text) if is_formula]


@given(st.text(st.sampled_from("$\\()[]ab1 \n="), max_size=50))
def test_the_text_can_be_had_back(text: str) -> None:
    assert "".join(as_written(piece) for _, piece in pieces(text)) == text


@pytest.mark.parametrize(
    "formula",
    [r"\(x\)", r"\( x = \sqrt{y} \)", r"\[ x = \frac{-b \pm \sqrt{b^2-4ac}}{2a} \]", "$$x^2$$",
     "\\[\nx\n\\]", "$$\na\n$$", "$x$", "$E = mc^2$", r"$\alpha$", "$3$", "$a_1 < b_1$", "$x|y$",
     r"$\text{if } x > 0$", r"$5 \times 3$", "$2x+1$", r"$\$5$"],
)  # fmt: skip
def test_formulas_are_found(formula: str) -> None:
    for text in (formula, f"设 {formula} 则", f"Let {formula}, so", f"({formula})"):
        assert formulas(text) == [formula]


@pytest.mark.parametrize(
    "text",
    ["价格是 $5 和 $10", "价格是$5和$10。", "It costs $5, or $10 for two.", "US$5 and A$10", "$5-$10",
     "$100k–$200k", "$HOME/$USER", "$HOME and $PATH", "$5, or 6$", "从 $5 涨到 8$ 了", r"\$x\$",
     "$ x $", "$a\n\nb$", r"\[1\] and \[2, 3\]", r"\[text\](url)", "$$", r"\(\)", "\\(a\n\nb\\)",
     r"\\(x\\)"],
)  # fmt: skip
def test_prices_variables_and_references_are_no_formulas(text: str) -> None:
    assert formulas(text) == []


def test_a_price_beside_a_formula_stays_a_price() -> None:
    assert formulas("It is $5 for $x^2$ and $10 for $y$.") == ["$x^2$", "$y$"]
    assert formulas("the $n$th of $a$s") == ["$n$", "$a$"]


@pytest.mark.parametrize("code", ["`$x$`", "```\n\\(x\\) $$y$$\n```", "    \\[x\\]\n"])
def test_code_is_left_alone(code: str) -> None:
    assert answered(code) == code


def test_a_formula_does_not_reach_over_code() -> None:
    text = "\\( a `b \\) c` \\)"
    assert answered(text) == text


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (r"so \( x = \fra", "so "), (r"so \[ x", "so "), ("so $$x", "so "), ("so \\", "so "),
        (r"so $\alph", "so "), ("so $x^", "so "), ("it is $5", "it is $5"),
        ("so \\( x\n\nand more", "so \\( x\n\nand more"), (r"\(a\) and \(b", r"\(a\) and "),
        ("$$a$$", "$$a$$"), ("plain", "plain"),
    ],
)  # fmt: skip
def test_what_is_still_being_written_is_left_out(text: str, whole: str) -> None:
    assert without_open(text) == whole


def test_while_a_formula_comes_nothing_else_changes() -> None:
    text = "First $a$.\n\nThen \\( x = \\frac{1}{2} \\) and $$y^2$$ end."
    before = ""
    for end in range(len(text) + 1):
        shown = answered(text[:end], is_over=False)
        assert shown.startswith(before.removesuffix("$a").removesuffix("$"))
        before = shown
    assert answered(text) == before


def test_what_stays_open_is_shown_in_the_end() -> None:
    assert answered(r"so \( x") == r"so \( x"
