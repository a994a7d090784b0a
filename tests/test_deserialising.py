"""What comes from outside is JSON: nothing in the package reads a format that can run code."""

import ast
from pathlib import Path

import pytest

import failpath_otel
from tools.imports import imports

PACKAGE = Path(failpath_otel.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
LOADERS = {"cloudpickle", "dill", "jsonpickle", "marshal", "pickle", "shelve", "yaml", "xml", "xmlrpc"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_source_file_reads_what_can_run_code(source: Path) -> None:
    assert LOADERS.isdisjoint({name.split(".")[0] for name in imports(source)})
    called = {
        node.func.id
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called.isdisjoint({"eval", "exec", "compile", "__import__"})
