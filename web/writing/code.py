"""Code in Markdown, apart from the prose around it: what stands in code is shown as it is.

Owns: where fenced, indented and inline code begins and ends, as CommonMark has it. What is open at the
end is code up to there, so that a block that is still being written is one. Does not know what becomes
of the prose.
"""

import re
from collections.abc import Iterator

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTES = r"(?:[ \t]*>)*[ \t]*"
_FENCE = re.compile(rf"{_QUOTES}(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{{3,}}(?=[^`\n]*$)|~{{3,}})")
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])(?:[ \t]|$)")
_INLINE = re.compile(r"(?<![\\`])(`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)\1(?!`)", re.DOTALL)


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, each with whether it is code. The pieces joined are the text."""
    for is_code, block in _blocks(text):
        if is_code:
            yield True, block
        else:
            yield from _inline(block)


def _inline(prose: str) -> Iterator[tuple[bool, str]]:
    start = 0
    for found in _INLINE.finditer(prose):
        yield False, prose[start : found.start()]
        yield True, found[0]
        start = found.end()
    yield False, prose[start:]


def _blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Runs of lines that are code, and those that are not."""
    run: list[str] = []
    was_code = False
    for is_code, line in _lines(text):
        if is_code != was_code and run:
            yield was_code, "".join(run)
            run = []
        was_code = is_code
        run.append(line)
    if run:
        yield was_code, "".join(run)


def _lines(text: str) -> Iterator[tuple[bool, str]]:
    fence: str | None = None
    is_in_list, is_behind_gap = False, True
    for line in _LINE.findall(text):
        if fence is not None:
            yield True, line
            if _closes(fence, line):
                fence = None
            continue
        opened = _FENCE.match(line.rstrip("\n"))
        is_blank = not line.strip()
        is_indented = _INDENTED.match(line) is not None
        if opened is None and is_indented and is_behind_gap and not is_in_list:
            yield True, line  # the next line goes on with it
            continue
        if opened is not None:
            fence = opened[1]
        if not is_blank and not line.startswith((" ", "\t")):
            is_in_list = _LIST_ITEM.match(line) is not None
        elif _LIST_ITEM.match(line):
            is_in_list = True
        is_behind_gap = is_blank
        yield fence is not None, line


def _closes(fence: str, line: str) -> bool:
    rest = re.sub(rf"^{_QUOTES}", "", line).strip()
    return len(rest) >= len(fence) and not rest.strip(fence[0])
