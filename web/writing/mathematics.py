r"""Mathematics in prose, between delimiters of ours that the page renders and no other text holds.

Owns: what of a text is mathematics. `\(...\)`, `\[...\]` and `$$...$$` say so themselves; `$...$` does only if
it looks like it, for a dollar is money, too. A formula ends within its paragraph. Each form gets a pair of
noncharacters of its own, so that the text can be had back exactly. Does not know code (web.writing.code).
"""

import re
from collections.abc import Iterator

_FIRST = 0xFDE0  # a noncharacter; sixteen are behind it
_FORMS = (("$$", "$$", True), (r"\[", r"\]", True), (r"\(", r"\)", False), ("$", "$", False))
_OURS = [(chr(_FIRST + 2 * i), chr(_FIRST + 2 * i + 1)) for i in range(len(_FORMS))]

# What Gradio's Chatbot is to take for mathematics.
LATEX_DELIMITERS: list[dict[str, str | bool]] = [
    {"left": left, "right": right, "display": display}
    for (left, right), (_, _, display) in zip(_OURS, _FORMS, strict=True)
]
# Of each of our delimiters, what was written in its place.
WRITTEN = {
    ours: written
    for pair, (left, right, _) in zip(_OURS, _FORMS, strict=True)
    for ours, written in zip(pair, (left, right), strict=True)
}
_WRITTEN = str.maketrans(WRITTEN)

_IN_PARAGRAPH = r"(?:(?!\n[ \t]*\n)[\s\S])+?"
_FORMULA = re.compile(
    rf"(?<![\\$])\$\$(?!\$)(?P<f0>{_IN_PARAGRAPH})(?<!\\)\$\$"
    rf"|(?<!\\)\\\[(?P<f1>{_IN_PARAGRAPH})(?<!\\)\\\](?!\()"
    rf"|(?<!\\)\\\((?P<f2>{_IN_PARAGRAPH})(?<!\\)\\\)"
    r"|(?<![\\$\w])\$(?=[^\s$])(?P<f3>(?:\\.|[^$\\\n])+?)(?<!\s)\$(?![\d$])"
)
_OPEN = re.compile(
    r"(?<!\\)(?:\$\$|\\\[|\\\()(?:(?!\n[ \t]*\n)[\s\S])*\Z"
    r"|(?<![\\$\w])\$(?=[^\s$\d])[^$\n]*[\\^_={][^$\n]*\Z"
    r"|(?<!\\)[\\$]\Z"
)
_REFERENCE = re.compile(r"\s*\d+(?:\s*[,–-]\s*\d+)*\s*")  # `\[1\]` is one, as Markdown escapes it
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u3000-\u303f\uff00-\uffef]")
_GROUPS = re.compile(r"\\[A-Za-z]+|\{[^{}]*\}")
_WORDS = re.compile(r"(?:^|[\s,.;])[a-z]{2,}(?=[\s,.;])|[A-Za-z]{2,} [A-Za-z]{2,}")
_LOOKS = re.compile(r"[A-Za-zα-ωΑ-Ω\\^_=<>+]|^\d+$")


def pieces(prose: str) -> Iterator[tuple[bool, str]]:
    """The prose in pieces, each with whether it is a formula, which then has delimiters of ours."""
    start = 0
    while (found := _FORMULA.search(prose, start)) is not None:
        form = next(i for i in range(len(_FORMS)) if found[f"f{i}"] is not None)
        if _is_meant(prose, found, form):
            yield False, prose[start : found.start()]
            left, right = _OURS[form]
            yield True, f"{left}{found[f'f{form}']}{right}"
            start = found.end()
        else:  # what follows may be one
            yield False, prose[start : found.start() + 1]
            start = found.start() + 1
    yield False, prose[start:]


def as_written(text: str) -> str:
    """The text with the delimiters that it was written with."""
    return text.translate(_WRITTEN)


def without_open(prose: str) -> str:
    """The prose up to a formula that is still being written at its end."""
    start = 0
    for found in _FORMULA.finditer(prose):
        start = found.end()
    found_open = _OPEN.search(prose, start)
    return prose if found_open is None else prose[: found_open.start()]


def _is_meant(prose: str, found: re.Match[str], form: int) -> bool:
    formula = found[f"f{form}"]
    if not formula.strip() or any(ours in formula for ours in WRITTEN):
        return False
    if _FORMS[form][0] == r"\[":
        return _REFERENCE.fullmatch(formula) is None
    return _FORMS[form][0] != "$" or _is_no_money(formula, prose[found.end() : found.end() + 1])


def _is_no_money(formula: str, behind: str) -> bool:
    bare = _GROUPS.sub(" ", formula)
    if _LOOKS.search(formula) is None or _IDEOGRAPHS.search(bare) or _WORDS.search(bare):
        return False
    is_glued = behind.isascii() and (
        behind.isalpha() or behind == "_"
    )  # `$n$th`, but `$HOME/$USER`
    return not is_glued or len(formula) == 1 or re.search(r"[\\^=]", formula) is not None
