"""Promises about which module imports which."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import tsmgan

TOP = Path(tsmgan.__file__).parent
LABORATORY = ("training",)
"""Packages that are not looked at."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found = {".".join(("tsmgan", *path.relative_to(TOP).with_suffix("").parts)): path for path in TOP.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in found.items() if name.split(".")[1] not in LABORATORY}


def imported(tree: ast.AST, known: dict[str, Path]) -> set[str]:
    """The known modules that a module imports, inside functions too, but not for type checkers alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{each.name}" for each in node.names}
            found |= {name if name in known else node.module for name in names}
        found |= imported(node, known)
    return found & known.keys()


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions():
    known = modules()
    graph = {name: imported(ast.parse(path.read_text()), known) - {name} for name, path in known.items()}
    assert graph["tsmgan.cli.stretch"] >= {"tsmgan.job", "tsmgan.cli.stretch_batch"}, "imports inside functions are not seen"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
