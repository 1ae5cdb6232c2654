"""Promises of the layout: which package may import which. All imports are read from the source, those inside functions too."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "tsmgan").rglob("*.py"))
}
"""The file of each module of the program, by the module's name."""

CORE_ORDER = (
    "geometry",
    "times",
    "timemap",
    "compiled",
    "frames",
    "samples",
    "attacks",
    "analysis",
    "features",
    "field",
    "rule",
    "generator",
    "noise",
    "vocoder",
    "grains",
    "envelope",
    "formants",
    "overlap",
    "limiter",
    "runs",
    "stretcher",
    "pitch",
)
"""The modules of the core in the order in which the data passes through them."""
CORE_MAY_IMPORT = {"numpy", "scipy", "numba", "llvmlite", "onnxruntime", "soxr"} | sys.stdlib_module_names
PRODUCT = (
    "tsmgan.core",
    "tsmgan.audio",
    "tsmgan.storage",
    "tsmgan.maps",
    "tsmgan.followers",
    "tsmgan.batch",
    "tsmgan.api",
    "tsmgan.options",
    "tsmgan.job",
    "tsmgan.loop",
    "tsmgan.cli.stretch",
)
LABORATORY = ("tsmgan.training", "tsmgan.evaluation", "tsmgan.benchmark", "tsmgan.listening")
MAY_IMPORT_TORCH = ("tsmgan.training", "tsmgan.export", "tsmgan.evaluation.realism", "tsmgan.evaluation.measures.opinion")


class Import(NamedTuple):
    """One module that a source imports."""

    name: str
    line: int
    deferred: bool
    """Whether the import stands inside a function, and so runs only when that function is called."""


def imports_of(module: str) -> list[Import]:
    """Every import of a module of the program, in the order of the lines. A name from a package is a module where it is one."""
    found: list[Import] = []

    def visit(node: ast.AST, deferred: bool) -> None:
        deferred = deferred or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, deferred) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}, line {node.lineno}: imports are written with the whole name"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append(Import(inner if inner in SOURCES else node.module, node.lineno, deferred))
        for child in ast.iter_child_nodes(node):
            visit(child, deferred)

    visit(ast.parse(SOURCES[module].read_text(encoding="utf-8")), False)
    return found


IMPORTS = {module: imports_of(module) for module in SOURCES}


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def core_rank(module: str) -> int:
    """The place of a module of the core in the order; modules of `compiled` share one."""
    return CORE_ORDER.index(module.split(".")[2])


CORE = [module for module in SOURCES if module.startswith("tsmgan.core.")]


@pytest.mark.parametrize("module", CORE)
def test_a_module_of_the_core_imports_only_modules_that_stand_before_it(module):
    for name, line, _ in IMPORTS[module]:
        if name == "tsmgan.errors" or name.split(".")[0] in CORE_MAY_IMPORT:
            continue
        assert is_in(name, ("tsmgan.core",)) and name != "tsmgan.core", f"{module}, line {line} imports {name}"
        both_compiled = core_rank(name) == core_rank(module) == CORE_ORDER.index("compiled")
        assert core_rank(name) < core_rank(module) or both_compiled, f"{module}, line {line} imports {name}, which does not stand before it"


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {found.name for found in found_imports if found.name in SOURCES} for module, found_imports in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_product_does_not_import_the_laboratory():
    """An import at the head of a module runs whenever the module is imported, so a stretch would pay for it."""
    wrong = [
        f"{module}, line {found.line} imports {found.name}"
        for module in SOURCES
        if is_in(module, PRODUCT)
        for found in IMPORTS[module]
        if not found.deferred and is_in(found.name, LABORATORY)
    ]
    assert not wrong, wrong


def test_torch_is_imported_by_training_export_and_the_critics_of_realism_only():
    wrong = [
        f"{module}, line {found.line}"
        for module in SOURCES
        if not is_in(module, MAY_IMPORT_TORCH)
        for found in IMPORTS[module]
        if found.name.split(".")[0] in ("torch", "torchaudio", "accelerate")
    ]
    assert not wrong, wrong


def test_export_builds_on_the_network_and_the_recipe_and_only_the_trainer_on_export():
    wrong = [
        f"{module}, line {found.line} imports {found.name}"
        for module in SOURCES
        for found in IMPORTS[module]
        if (
            is_in(module, ("tsmgan.export",))
            and is_in(found.name, ("tsmgan.training",))
            and found.name not in ("tsmgan.training.network", "tsmgan.training.recipe")
        )
        or (is_in(module, ("tsmgan.training",)) and module != "tsmgan.training.trainer" and is_in(found.name, ("tsmgan.export",)))
    ]
    assert not wrong, wrong
