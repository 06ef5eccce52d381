"""Imports point downwards only; packages keep to themselves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "engine": {"web", "export", "bench", "tests", "app", "gradio", "transformers", "torch"},
    "export": {"engine", "web", "bench", "tests", "app", "gradio", "torch"},
    "web": {"bench", "tests", "app", "transformers", "torch"},
    "bench": {"web", "tests", "torch"},
}

# The driver of a peer runs in that peer's environment, not in this one.
ELSEWHERE = {ROOT / "bench" / "peers" / "optimum.py"}


def imports_of(file: Path) -> set[str]:
    """Dotted names of every module that `file` imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


def files_of(package: str) -> list[Path]:
    files = (ROOT / package).rglob("*.py")
    return sorted(
        f for f in files if ROOT / "bench" / "envs" not in f.parents and f not in ELSEWHERE
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_nothing_from_above_or_beside(package: str) -> None:
    assert files_of(package)
    found = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files_of(package)
        for name in imports_of(file)
        if name.split(".")[0] in FORBIDDEN[package]
    }
    assert not found


def engine_imports() -> dict[str, set[str]]:
    """For each module of the engine, those of the engine that it imports."""
    modules = {file.stem for file in files_of("engine")}
    imports = {file.stem: imports_of(file) for file in files_of("engine")}
    return {
        module: {name.split(".")[1] for name in names if name.startswith("engine.")} & modules
        for module, names in imports.items()
        if module != "__init__"
    }


def test_the_engine_imports_in_one_direction() -> None:
    """No module reaches itself through what it imports."""
    imports = engine_imports()
    for module in imports:
        reached: set[str] = set()
        pending = list(imports[module])
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += imports[name]
        assert module not in reached


LAYERS = ["errors", "config", "block_pool", "sequence", "batch", "scheduler", "core", "engine"]


def test_the_layers_of_the_engine_stand_in_order() -> None:
    imports = engine_imports()
    for height, module in enumerate(LAYERS):
        assert not imports[module] & set(LAYERS[height + 1 :]), module


@pytest.mark.parametrize(
    "module", ["block_pool", "sequence", "batch", "scheduler", "ledger", "sampling", "streaming"]
)
def test_the_pure_core_knows_no_openvino_and_no_threads(module: str) -> None:
    names = {name.split(".")[0] for name in imports_of(ROOT / "engine" / f"{module}.py")}
    assert not names & {"openvino", "openvino_tokenizers", "threading", "asyncio", "queue"}
