"""Statements: a walk through the code of a scope, in the order in which it runs."""

import ast
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from failpath_otel.checking.inference.frames import Frame
from failpath_otel.checking.inference.scopes import Scope
from failpath_otel.checking.inference.values import UNKNOWN, Class, Function, Imported, elements, of, union

_DEEP: Final = 3
"""Loops inside each other whose code is walked twice; inside of them it is walked once."""


class Statements:
    """The statements of one scope.

    Args:
        frame: the names that are bound.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._evaluate = frame.expressions.evaluate
        self._depth = 0

    def walk(self, statements: Sequence[ast.stmt]) -> None:
        """Walk through ``statements``."""
        for node in statements:
            handler = _HANDLERS.get(type(node))
            if handler is not None:
                handler(self, node)
            else:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._evaluate(child)

    def _assign(self, node: ast.Assign) -> None:
        value = self._evaluate(node.value)
        for target in node.targets:
            self._frame.assign(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        value = self._evaluate(node.value)
        # What is assigned is known better than what is declared.
        self._frame.assign(node.target, value or self._frame.expressions.annotated(node.annotation))
        definition = self._frame.analysis.class_of(self._frame.scope)
        if definition is not None and isinstance(node.target, ast.Name) and node.target.id not in definition.fields:
            definition.fields.append(node.target.id)

    def _augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            combined = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
            self._frame.bind(node.target.id, self._evaluate(combined))
        else:
            self._evaluate(node.value)

    def _return(self, node: ast.Return) -> None:
        self._frame.results.add("return", self._evaluate(node.value))
        self._frame.is_reachable = False

    def _raise(self, node: ast.Raise) -> None:
        self._evaluate(node.exc)
        self._evaluate(node.cause)
        self._frame.is_reachable = False

    def _leave_loop(self, _: ast.Break | ast.Continue) -> None:
        self._frame.leave_loop()

    def _if(self, node: ast.If) -> None:
        frame = self._frame
        self._evaluate(node.test)
        before, reachable = frame.env, frame.is_reachable
        frame.branch(before, reachable=reachable)
        self.walk(node.body)
        end = frame.end
        frame.branch(before, reachable=reachable)
        self.walk(node.orelse)
        frame.join(end, frame.end)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        item = elements(self._evaluate(node.iter))
        self._loop(node.body, node.orelse, lambda: self._frame.assign(node.target, item))

    def _while(self, node: ast.While) -> None:
        self._loop(node.body, node.orelse, lambda: self._evaluate(node.test))

    def _loop(self, body: list[ast.stmt], after: list[ast.stmt], begin: Callable[[], object]) -> None:
        frame = self._frame
        before = frame.env
        self._depth += 1
        with frame.loop() as ends:
            for _ in range(2 if self._depth <= _DEEP else 1):
                known = dict(frame.env)
                frame.branch(frame.env)
                begin()
                self.walk(body)
                frame.join(before, frame.end, *ends)
                if frame.env == known:
                    break
        self._depth -= 1
        self.walk(after)

    def _try(self, node: Any) -> None:  # noqa: ANN401 - `ast.TryStar` came with Python 3.11
        frame = self._frame
        before = dict(frame.env)
        frame.branch(before)
        self.walk(node.body)
        inside = dict(frame.env)
        self.walk(node.orelse)
        ends = [frame.end]
        for handler in node.handlers:
            frame.join(before, inside)
            frame.branch(frame.env)
            self._evaluate(handler.type)
            if handler.name:
                frame.bind(handler.name, UNKNOWN)
            self.walk(handler.body)
            ends.append(frame.end)
        reached = [end for end in ends if end is not None]
        frame.join(*(reached or [before, inside]))
        self.walk(node.finalbody)
        frame.is_reachable = frame.is_reachable and bool(reached)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            value = self._frame.expressions.entered(self._evaluate(item.context_expr))
            if item.optional_vars is not None:
                self._frame.assign(item.optional_vars, value)
        self.walk(node.body)

    def _match(self, node: ast.Match) -> None:
        frame = self._frame
        subject = self._evaluate(node.subject)
        before, reachable = dict(frame.env), frame.is_reachable
        ends = [frame.end]
        for case in node.cases:
            frame.branch(before, reachable=reachable)
            for each in ast.walk(case.pattern):
                if isinstance(each, (ast.MatchAs, ast.MatchStar)) and each.name:
                    frame.bind(each.name, subject if each is case.pattern else UNKNOWN)
                elif isinstance(each, ast.MatchMapping) and each.rest:
                    frame.bind(each.rest, UNKNOWN)
            self._evaluate(case.guard)
            self.walk(case.body)
            ends.append(frame.end)
        frame.join(*ends)

    def _import(self, node: ast.Import) -> None:
        for name in node.names:
            if name.asname:
                value = self._frame.analysis.imported(self._frame.source, name.name)
                self._frame.bind(name.asname, value)
            else:
                top = name.name.partition(".")[0]
                self._frame.bind(top, self._frame.analysis.imported(self._frame.source, top))

    def _import_from(self, node: ast.ImportFrom) -> None:
        analysis, frame = self._frame.analysis, self._frame
        parts = tuple(node.module.split(".")) if node.module else ()
        for name in node.names:
            if name.name == "*":
                analysis.import_all(frame.scope, parts, node.level)
            else:
                value = analysis.imported_from(frame.source, parts, node.level, name.name)
                frame.bind(name.asname or name.name, value)

    def _outer(self, node: ast.Global | ast.Nonlocal) -> None:
        scope = self._frame.scope
        for name in node.names:
            outer: Scope | None = scope.module.scope if isinstance(node, ast.Global) else scope.enclosing
            while isinstance(node, ast.Nonlocal) and outer is not None and name not in outer.names:
                outer = outer.enclosing
            if outer is not None and outer is not scope:
                scope.outer[name] = outer

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        frame = self._frame
        decorators: set[str] = set()
        for each in node.decorator_list:
            self._evaluate(each)
            called = each.func if isinstance(each, ast.Call) else each
            decorators.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
        definition = frame.new_function(node, frozenset(decorators))
        frame.bind(node.name, of(Function(definition)))
        frame.analysis.walk_later(definition)

    def _class(self, node: ast.ClassDef) -> None:
        frame = self._frame
        for each in (*node.decorator_list, *(keyword.value for keyword in node.keywords)):
            self._evaluate(each)
        definition = frame.analysis.class_definition(node, frame.scope)
        bases = union(*[self._evaluate(each) for each in node.bases])
        definition.bases = frozenset(base for base in bases if isinstance(base, (Class, Imported)))
        frame.bind(node.name, of(Class(definition)))
        Statements(Frame(frame.analysis, definition.scope)).walk(node.body)


_HANDLERS: Final[dict[type[ast.stmt], Callable[[Statements, Any], None]]] = {
    ast.Assign: Statements._assign,  # noqa: SLF001 - its own
    ast.AnnAssign: Statements._annotated,  # noqa: SLF001
    ast.AugAssign: Statements._augmented,  # noqa: SLF001
    ast.Return: Statements._return,  # noqa: SLF001
    ast.Raise: Statements._raise,  # noqa: SLF001
    ast.Break: Statements._leave_loop,  # noqa: SLF001
    ast.Continue: Statements._leave_loop,  # noqa: SLF001
    ast.If: Statements._if,  # noqa: SLF001
    ast.For: Statements._for,  # noqa: SLF001
    ast.AsyncFor: Statements._for,  # noqa: SLF001
    ast.While: Statements._while,  # noqa: SLF001
    ast.Try: Statements._try,  # noqa: SLF001
    ast.With: Statements._with,  # noqa: SLF001
    ast.AsyncWith: Statements._with,  # noqa: SLF001
    ast.Match: Statements._match,  # noqa: SLF001
    ast.Import: Statements._import,  # noqa: SLF001
    ast.ImportFrom: Statements._import_from,  # noqa: SLF001
    ast.Global: Statements._outer,  # noqa: SLF001
    ast.Nonlocal: Statements._outer,  # noqa: SLF001
    ast.FunctionDef: Statements._function,  # noqa: SLF001
    ast.AsyncFunctionDef: Statements._function,  # noqa: SLF001
    ast.ClassDef: Statements._class,  # noqa: SLF001
}
if sys.version_info >= (3, 11):
    _HANDLERS[ast.TryStar] = Statements._try  # noqa: SLF001 - as above
