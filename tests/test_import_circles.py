"""Which way imports go, those within functions included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "tsmgan"
NAMES = {file: ".".join(("tsmgan", *file.relative_to(ROOT).with_suffix("").parts)) for file in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): file for file, name in NAMES.items()}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of tsmgan that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{each.name}" if f"{node.module}.{each.name}" in MODULES else node.module for each in node.names}
    return frozenset(found & MODULES.keys())


def reached(start: str) -> set[str]:
    """All modules that a module imports, directly or through others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_no_module_of_training_and_export_imports_itself_through_others():
    for module in MODULES:
        if module.startswith(("tsmgan.training.", "tsmgan.export.")):
            assert module not in reached(module), module


def test_export_reads_networks_from_training_and_only_the_trainer_writes_through_export():
    below = {"tsmgan.training.network", "tsmgan.training.recipe"}
    for module in MODULES:
        if module.startswith("tsmgan.export."):
            assert {each for each in imports(module) if each.startswith("tsmgan.training.")} <= below
        if module.startswith("tsmgan.training.") and module != "tsmgan.training.trainer":
            assert not any(each.startswith("tsmgan.export") for each in imports(module))
