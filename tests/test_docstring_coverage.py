"""Every public name has a docstring: the package, `failpath_otel.testing`, the entry points, and what is below them."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import failpath_otel
from failpath_otel.instrumentor import FailpathInstrumentor, NamedSpanExporter
from failpath_otel.integrations.django import run_middleware
from failpath_otel.testing import ErrorInfo, MockFailpath, Record

CLASSES = {
    node.name: node
    for path in Path(failpath_otel.__file__).parent.rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}
PUBLIC: dict[str, Any] = {
    **{name: getattr(failpath_otel, name) for name in failpath_otel.__all__ if name != "__version__"},
    **{each.__name__: each for each in (ErrorInfo, MockFailpath, Record, FailpathInstrumentor, NamedSpanExporter)},
    "run_middleware": run_middleware,
}
"""What users name: in the package, in `failpath_otel.testing`, and as entry points."""


def documented(name: str, value: Any) -> Iterator[tuple[str, bool]]:
    """The public names below *value*, itself among them, and whether each has a docstring of its own."""
    text = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    yield name, bool(text) and not text.startswith(f"{name}(")  # as dataclasses generate it
    if not inspect.isclass(value):
        return
    for owner in value.__mro__:
        if owner.__module__.partition(".")[0] != "failpath_otel":
            continue
        for own, member in vars(owner).items():
            if inspect.isroutine(member) or isinstance(member, property):
                yield f"{name}.{own}", own.startswith("_") or bool(member.__doc__)
        for field in inspect.get_annotations(owner):
            yield f"{name}.{field}", field.startswith("_") or is_explained(field, owner)


def is_explained(field: str, owner: type) -> bool:
    """Whether the docstring of the class names the field, or a docstring stands below it."""
    below = {
        ast.unparse(statement.target)
        for statement, after in pairwise(CLASSES[owner.__name__].body)
        if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    return field in below or re.search(rf"\b{field}\b", owner.__doc__ or "") is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    assert [each for each, has in documented(name, PUBLIC[name]) if not has] == []


def test_the_names_below_the_public_ones_are_found() -> None:
    found = {each for name, value in PUBLIC.items() for each, _ in documented(name, value)}
    assert {"Run.step", "FailpathClient.flush", "Stats.delivered", "StepRule.span_name", "Record.status"} <= found
    assert len(found) > 90
