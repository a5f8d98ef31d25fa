"""`help` shows the documentation of the type stubs."""

import ast
import inspect
from typing import Any

import pytest
from support.places import ROOT

from tiercel import _core

PACKAGE = ROOT / "python" / "tiercel"
STUBS = [
    ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / "_core.pyi", *(PACKAGE / "_stubs").iterdir())
]


def documented() -> list[tuple[str, str]]:
    """Names and docstrings that the stubs and the module share; magic methods keep Python's own."""
    found: list[tuple[str, str]] = []
    for node in (node for stub in STUBS for node in stub.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and hasattr(_core, node.name):
            members = [node, *(part for part in node.body if isinstance(part, ast.FunctionDef))]
            names = [node.name, *(f"{node.name}.{part.name}" for part in members[1:])]
            docs = [ast.get_docstring(member) for member in members]
            found += [(name, doc) for name, doc in zip(names, docs, strict=True) if doc and "__" not in name]
    return found


@pytest.mark.parametrize(("name", "doc"), documented(), ids=[name for name, _ in documented()])
def test_help_is_the_text_of_the_stub(name: str, doc: str) -> None:
    target: Any = _core
    for part in name.split("."):
        target = inspect.getattr_static(target, part)
    assert inspect.getdoc(target) == doc
