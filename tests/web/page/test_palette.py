"""The palette's colours can be read: contrast as WCAG 2 has it."""

import re

import pytest

from web.page import assets

INKS = ("ink", "ink2", "ink3", "accent-ink", "bad")
CODE = ("ink", "code-comment", "code-sign", "code-keyword", "code-name", "code-type", "code-string", "code-number")  # fmt: skip


def palette(theme: str) -> dict[str, str]:
    rules = dict(
        re.findall(r"^(\S+) \{(.*?)^\}", assets.text("palette.css"), re.DOTALL | re.MULTILINE)
    )
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", rules[theme]))


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#669900", "#faf5ee") == pytest.approx(3.16, abs=0.01)


@pytest.mark.parametrize("theme", [":root", ".dark"])
@pytest.mark.parametrize(
    ("inks", "ground"),
    [(INKS, "paper"), (INKS, "card"), (CODE, "code"), (("ink2",), "codehead"), (("on-accent",), "accent-ink")],
)  # fmt: skip
def test_text_can_be_read(inks: tuple[str, ...], ground: str, theme: str) -> None:
    colours = palette(theme)
    low = {ink: round(contrast(colours[ink], colours[ground]), 2) for ink in inks}
    assert {ink: ratio for ink, ratio in low.items() if ratio < 4.5} == {}


def test_a_token_has_no_colour_but_the_palettes() -> None:
    tokens = [line for line in assets.text("markdown.css").splitlines() if ".token" in line]
    colours = re.findall(r"[{ ]color: ([^;]+);", "".join(tokens))
    assert colours[0] == "inherit"
    assert set(colours[1:]) == {f"var(--{name})" for name in CODE if name.startswith("code-")}
