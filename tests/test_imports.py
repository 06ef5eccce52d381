"""Imports point downwards only, and nothing reaches past the face of a package."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests import ROOT

# Of each package, its floors from the ground up. What stands on a floor, modules or packages, may
# import what stands below; modules of one floor may import each other, without a circle.
FLOORS = {
    "engine": [
        "errors faults config metrics events",
        "scheduling",
        "text",
        "grammars",
        "model",
        "conversations",
        "tiers",
        "turns",
        "loading stats mailbox owner engine",
    ],
    "web": [
        "languages",
        "users keys identity model_source option_values options crowd connections listening forwarding startup watchdog proxies temporary lean",
        "writing",
        "files",
        "turns",
        "view",
        "events",
        "page gate",
        "api api_access bare installing sharing site server serve terminal",
    ],
    "api": [
        "errors program",
        "wire limits notes metrics",
        "thoughts listening streams settings hints",
        "chain",
        "talks",
        "replies",
        "endpoints",
        "gate app",
    ],
}
# What a package may not know at all, whatever the floor.
FORBIDDEN = {
    "engine": {"api", "web", "export", "bench", "tests", "app", "gradio", "transformers", "torch"},
    "api": {
        "web",
        "export",
        "bench",
        "tests",
        "app",
        "gradio",
        "openvino",
        "transformers",
        "torch",
    },
    "export": {"engine", "api", "web", "bench", "tests", "app", "gradio", "torch"},
    "web": {"bench", "tests", "app", "transformers", "torch"},
    "bench": {"tests", "torch"},
    "engine.scheduling": {"openvino", "openvino_tokenizers", "threading", "asyncio", "queue"},
    "engine.conversations": {"openvino", "openvino_tokenizers"},
    "web.turns": {"gradio"},
    "web.files": {"gradio"},
    "web.view": {"gradio"},
    "web.languages": {"gradio", "engine"},
    "web.writing": {"gradio", "engine"},
}
PURE = ["engine/text/ledger.py", "engine/text/streaming.py", "engine/model/batch.py"]

# The driver of a peer runs in that peer's environment, not in this one.
ELSEWHERE = {ROOT / "bench" / "peers" / "optimum.py"}
# A benchmark that measures parts from within says so in its docstring, with these words.
LOOKS_INSIDE = "Looks inside"


def files_of(package: str) -> list[Path]:
    files = (ROOT / package.replace(".", "/")).rglob("*.py")
    return sorted(
        f for f in files if ROOT / "bench" / "envs" not in f.parents and f not in ELSEWHERE
    )


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def is_package(name: str) -> bool:
    return (ROOT / name.replace(".", "/") / "__init__.py").exists()


@cache
def is_module(name: str) -> bool:
    return is_package(name) or (ROOT / (name.replace(".", "/") + ".py")).exists()


@cache
def imports_of(file: Path) -> frozenset[tuple[str, str]]:
    """(module, name) of everything that `file` imports, wherever in it; name is empty for `import`."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {(node.module or "", alias.name) for alias in node.names}
    return frozenset(found)


def modules_imported(file: Path) -> set[str]:
    """Dotted names of the modules among them; a name that a package offers stands for the package."""
    names = {f"{module}.{name}" if name else module for module, name in imports_of(file)}
    return {name if is_module(name) else name.rpartition(".")[0] or name for name in names}


@cache
def face_of(package: str) -> frozenset[str]:
    """What the package's `__all__` names."""
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def floor_of(module: str) -> int | None:
    """The floor in its house; None for the face of the house itself, or for another one's module."""
    top, _, rest = module.partition(".")
    if top not in FLOORS or not rest:
        return None
    first = rest.partition(".")[0]
    for height, floor in enumerate(FLOORS[top]):
        if first in floor.split():
            return height
    raise AssertionError(f"{module} stands on no floor; give it one in FLOORS")


def is_past_the_face(importer: str, module: str, name: str) -> bool:
    """Whether `importer` takes something out of another package that its `__init__` does not offer."""
    target = f"{module}.{name}" if is_module(f"{module}.{name}") else module
    package = target if is_package(target) else target.rpartition(".")[0]
    if not is_package(package) or f"{importer}.".startswith(f"{package}."):
        return False
    if target == package:
        return bool(name) and target == module and name not in face_of(package)
    return target.rpartition(".")[2] not in face_of(package)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_does_not_know_what_is_above_or_beside_it(package: str) -> None:
    assert files_of(package)
    found = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files_of(package)
        for module, _ in imports_of(file)
        if module.split(".")[0] in FORBIDDEN[package]
    }
    assert not found


@pytest.mark.parametrize("file", PURE)
def test_the_pure_parts_of_text_and_model_know_no_openvino_and_no_threads(file: str) -> None:
    names = {module.split(".")[0] for module, _ in imports_of(ROOT / file)}
    assert not names & {"openvino", "openvino_tokenizers", "threading", "asyncio", "queue"}


@pytest.mark.parametrize("house", FLOORS)
def test_imports_point_downwards(house: str) -> None:
    upwards = set()
    for file in files_of(house):
        module = module_of(file)
        floor = floor_of(module)
        if floor is None:
            continue
        for target in modules_imported(file):
            other = floor_of(target) if target.split(".")[0] == house else None
            if other is not None and other > floor:
                upwards.add(f"{module} imports {target}")
    assert not upwards


@pytest.mark.parametrize("house", [*FLOORS, "export", "bench"])
def test_no_module_reaches_itself_through_what_it_imports(house: str) -> None:
    modules = {module_of(file): file for file in files_of(house)}
    imports = {
        name: {m for m in modules_imported(file) if m in modules and not is_package(m)}
        for name, file in modules.items()
    }
    for module, imported in imports.items():
        reached: set[str] = set()
        pending = list(imported)
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += imports[name]
        assert module not in reached


def test_nothing_reaches_past_the_face_of_a_package() -> None:
    past = set()
    for house in ("engine", "export", "api", "web", "bench"):
        for file in files_of(house):
            if LOOKS_INSIDE in (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""):
                assert house == "bench", f"{file} is no benchmark"
                continue
            past |= {
                f"{module_of(file)} takes {name or module} out of {module}"
                for module, name in imports_of(file)
                if is_past_the_face(module_of(file), module, name)
            }
    assert not past


@pytest.mark.parametrize("house", ["engine", "api", "web"])
def test_every_package_says_what_it_owns_and_offers_what_is_used(house: str) -> None:
    """A face offers nothing that nobody outside takes."""
    packages = [module_of(f) for f in files_of(house) if f.name == "__init__.py"]
    used = {
        (module, name)
        for top in ("engine", "export", "api", "web", "bench", "tests")
        for file in files_of(top)
        for module, name in imports_of(file)
        if not f"{module_of(file)}.".startswith(f"{module}.")
    }
    for package in packages:
        text = (ROOT / package.replace(".", "/") / "__init__.py").read_text("utf-8")
        assert ast.get_docstring(ast.parse(text)), package
        if package.count(".") == 1 and package not in {"web.page", "web.view"}:
            assert {n for n in face_of(package) if (package, n) not in used} == set(), package
