"""Marks at the start and the end of each function of some packages, which are set as their source is imported.

What runs between two marks belongs to the function that was entered last and has not ended. Generators, coroutines and
lambdas get no marks, so that they count to their callers, as what is written in C does.
"""

import ast
import builtins
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, Final

_NOTE: Final = "__bench_note__"  # not mangled inside of classes
_MARK: Final = "__bench_mark__"
END: Final = ""
_Function: Final = ast.FunctionDef | ast.AsyncFunctionDef


def install(packages: Sequence[str]) -> None:
    """Set marks in these packages, before their first import; they do nothing yet."""
    # The same kinds of calls as later, because the interpreter adapts its bytecode to them.
    _set(deque[str](maxlen=0).append, os.getpgid)
    sys.meta_path.insert(0, _Finder(packages))


def start(notes: list[str]) -> None:
    """Have each mark add a text to the list: module and name of a function that begins, or nothing where one ends."""
    _set(notes.append, os.getsid)


def _set(note: Callable[[str], None], mark: Callable[[int], int]) -> None:
    """Set the two calls of a mark: functions in C, so that a mark costs the same wherever it is."""
    setattr(builtins, _NOTE, note)
    setattr(builtins, _MARK, mark)


def in_a_row(count: int) -> Callable[[], object]:
    """Return a function that is so many marks without a text."""
    module = ast.parse("def marks(): pass")
    (function,) = module.body
    assert isinstance(function, ast.FunctionDef)
    function.body = [call for _ in range(count) for call in _calls(END)]
    names: dict[str, Callable[[], object]] = {}
    exec(compile(ast.fix_missing_locations(module), __file__, "exec"), names)
    return names["marks"]


class _Finder(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Compiles with marks. The cache of bytecode has to be one of its own (``PYTHONPYCACHEPREFIX``)."""

    def source_to_code(  # type: ignore[override]
        self,
        data: Any,  # noqa: ANN401 - so the type of the base class
        path: Any,  # noqa: ANN401
        *,
        _optimize: int = -1,
    ) -> CodeType:
        module = ast.parse(data, path)
        _add_marks(module, self.name, "")
        code: CodeType = compile(ast.fix_missing_locations(module), path, "exec", dont_inherit=True)
        return code


def _add_marks(scope: ast.AST, module: str, prefix: str) -> None:
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (ast.ClassDef, _Function)):
            name = f"{prefix}{child.name}"
            _add_marks(child, module, f"{name}.")
            if isinstance(child, ast.FunctionDef) and not _suspends(child):
                _enclose(child, f"{module} {name}")
        else:
            _add_marks(child, module, prefix)


def _suspends(function: ast.AST) -> bool:
    """Return whether the function is a generator: code of functions inside of it is not its own."""
    return any(
        isinstance(child, (ast.Yield, ast.YieldFrom))
        or (not isinstance(child, (_Function, ast.Lambda, ast.ClassDef)) and _suspends(child))
        for child in ast.iter_child_nodes(function)
    )


def _enclose(function: ast.FunctionDef, name: str) -> None:
    docstring = ast.get_docstring(function, clean=False) is not None
    kept, body = function.body[:docstring], function.body[docstring:]
    if body:
        function.body = [*kept, *_calls(name), ast.Try(body, [], [], _calls(END))]


def _calls(text: str) -> list[ast.stmt]:
    calls = ((_NOTE, text), (_MARK, 0))
    return [ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Constant(given)], [])) for name, given in calls]
