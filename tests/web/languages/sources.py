"""The English sentences of the sources that may come to stand on a page, read without importing anything.

A sentence is what ends in a full stop, or in a colon and a place, wherever it stands; what an error of `engine.errors` or
`export.errors` is made with, whatever it looks like; and the words that fill places of such sentences.
Texts of f-strings and of `str.format` become templates: whatever fills a place is `{}`.
"""

import ast
import re
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from string import Formatter

from tests import ROOT

PACKAGES = ("engine", "export", "web")
ROOTS = {"EngineError", "ExportError"}
# What is called with words that become, or fill, a sentence.
CALLED = {"require", "_refuse", "_unknown", "UnpicklingError"}
NAMED = {"reason", "detail", "endpoint", "_failure"}
LISTED = {"_NUMBERS", "_WHOLE_NUMBERS"}  # (name, low, high, words)
SENTENCE = re.compile(r"[a-z,;] \S.*(\.|: \{\w+\})$", re.DOTALL)
IDENTIFIER = re.compile(r"[\w.]*")


@cache
def collected() -> dict[str, set[str]]:
    """Each template, and the files, as `engine/owner.py`, that it stands in."""
    found: dict[str, set[str]] = {}
    for file in files():
        for template in templates(file):
            found.setdefault(template, set()).add(file.relative_to(ROOT).as_posix())
    return found


def files() -> list[Path]:
    """All sources but the languages themselves."""
    every = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return sorted(file for file in every if "languages" not in file.parts)


def templates(file: Path) -> set[str]:
    """The templates in a file."""
    tree, errors = parsed(file), error_names()
    return said_in(tree, errors, has_value_errors=file.name == "sentencepiece_model.py")


def said_in(tree: ast.AST, errors: frozenset[str], *, has_value_errors: bool = False) -> set[str]:
    """As `templates`, of a syntax tree. has_value_errors: those are quoted by an error of ours."""
    calls = errors | CALLED | ({"ValueError"} if has_value_errors else set())
    told = {text for text in map(text_of, spoken_nodes(tree)) if text}
    found = {text for text in told if SENTENCE.search(text)}
    for node in ast.walk(tree):
        found |= {text for part in words_in(node, calls, errors) for text in texts(part)}
    return {template(text) for text in found if not IDENTIFIER.fullmatch(text)}


def words_in(node: ast.AST, calls: Set[str], errors: Set[str]) -> Iterator[ast.AST]:
    """The parts of a node that hold words for people, whether they look like a sentence or not."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in calls:
            yield from node.args
        case ast.ClassDef(name=name) if name in errors:
            yield from (part for call in ast.walk(node) for part in made_with(call))
        case ast.ClassDef(bases=[ast.Name(id="Enum")]):
            yield from (s.value for s in node.body if isinstance(s, ast.Assign))
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]) if name in NAMED:
            yield node.value
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() as rows) if name in LISTED:
            yield from (row.elts[-1] for row in rows.elts if isinstance(row, ast.Tuple))
        case ast.FunctionDef(name="_unmodelled"):
            for keys in (d.keys for d in ast.walk(node) if isinstance(d, ast.Dict)):
                yield from filter(None, keys)


def made_with(node: ast.AST) -> list[ast.expr]:
    """What an error class gives Exception for its message."""
    is_super = isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
    return node.args if is_super and isinstance(node, ast.Call) else []


def texts(node: ast.AST) -> Iterator[str]:
    """The strings that a node may be."""
    if (text := text_of(node)) is not None:
        yield text
    elif isinstance(node, ast.IfExp | ast.BoolOp):
        for part in ast.iter_child_nodes(node):
            yield from texts(part)


def spoken_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be a text of their own: no docstring, no word for a log, no piece of an f-string."""
    silent: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            silent.add(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("log.", "parser.")):
            silent |= {*node.args, *(word.value for word in node.keywords)}
        elif isinstance(node, ast.JoinedStr):
            silent |= set(node.values)
        if node not in silent:
            yield node


def text_of(node: ast.AST) -> str | None:
    """A literal's text, with {} where an f-string says something."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        pieces = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        return "".join(map(str, pieces))
    return None


def template(text: str) -> str:
    """`text` with each place, whatever its name and format, as {}."""
    try:
        pieces = list(Formatter().parse(text))
    except ValueError:  # braces that are none of ours
        return text
    return "".join(literal + ("{}" if name is not None else "") for literal, name, _, _ in pieces)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def error_names() -> frozenset[str]:
    """The classes of errors that are written for people, and those derived from them."""
    classes = [n for f in files() for n in ast.walk(parsed(f)) if isinstance(n, ast.ClassDef)]
    names, known = set(ROOTS), 0
    while known != len(names):
        known = len(names)
        names |= {c.name for c in classes if {ast.unparse(base) for base in c.bases} & names}
    return frozenset(names)
