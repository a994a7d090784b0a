"""One walk through a scope: which names are bound to what at a place in it."""

import ast
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from failpath_otel.checking.inference.expressions import Expressions
from failpath_otel.checking.inference.scopes import Scope, Slots
from failpath_otel.checking.inference.values import (
    UNKNOWN,
    Class,
    FunctionDefinition,
    Instance,
    Items,
    Row,
    SourceModule,
    Value,
    elements,
    union,
)

if TYPE_CHECKING:
    from failpath_otel.checking.inference.analysis import Analysis

Names = dict[str, Value]


class Frame:
    """The names of a scope, in the order in which the code binds them.

    Args:
        analysis: what is known of the whole program.
        scope: the scope.
        results: takes what the scope returns and yields, if it is that of a function.
    """

    def __init__(self, analysis: "Analysis", scope: Scope, results: Slots | None = None) -> None:
        self.analysis: Final = analysis
        self.scope: Final = scope
        self.source: Final = scope.module.source
        self.results: Final = results if results is not None else Slots(analysis.walks)
        self.env: Names = {}
        self.is_reachable = True
        """Whether the code that follows can be reached from that before it."""
        self._inside = 0
        self._loops: list[list[Names]] = []
        self.expressions: Final = Expressions(self)

    def look_up(self, name: str) -> Value:
        """Return what a name may be here."""
        value = self.env[name] if name in self.env else self.scope.find(name)
        return self.analysis.settled(value) if value else UNKNOWN

    def bind(self, name: str, value: Value) -> None:
        """Bind a name, from here on."""
        scope = self.scope.scope_of(name)
        if scope is self.scope:
            self.env[name] = value
            if self._inside:  # a comprehension's, or a lambda's
                return
        scope.names.add(name, value)

    def assign(self, target: ast.expr, value: Value) -> None:
        """Bind what a target names: a name, an attribute, the items of a tuple."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Attribute):
            for atom in self.expressions.evaluate(target.value):
                if isinstance(atom, Instance):
                    atom.definition.attributes.add(target.attr, value)
                elif isinstance(atom, Class):
                    atom.definition.scope.names.add(target.attr, value)
                elif isinstance(atom, SourceModule):
                    atom.scope.names.add(target.attr, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value)
        else:
            self.expressions.evaluate(target)

    def _unpack(self, targets: Sequence[ast.expr], value: Value) -> None:
        by_place: list[list[Value]] = [[] for _ in targets]
        has_star = any(isinstance(target, ast.Starred) for target in targets)
        for atom in value:
            if isinstance(atom, Row) and not has_star and len(atom.items) == len(targets):
                for found, item in zip(by_place, atom.items, strict=True):
                    found.append(item)
            elif isinstance(atom, (Row, Items)):
                for found in by_place:
                    found.append(elements(frozenset({atom})))
        for target, found in zip(targets, by_place, strict=True):
            self.assign(target, union(*found))

    @contextmanager
    def inside(self) -> Generator[None, None, None]:
        """Bind names for an expression alone."""
        before = self.env
        self.env = dict(before)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self.env = before

    def new_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, decorators: frozenset[str]
    ) -> FunctionDefinition:
        """Return the function that a node defines, with its parameters: the same one in each pass."""
        definition = self.analysis.function(node, self.scope, decorators)
        self.expressions.parameters(node, definition)
        return definition

    def branch(self, before: Names, *, reachable: bool = True) -> None:
        """Go on with the names that were bound at another place."""
        self.env = dict(before)
        self.is_reachable = reachable

    def join(self, *ends: Names | None) -> None:
        """Go on where several ways meet; ``None`` is one that does not come here."""
        reached = [end for end in ends if end is not None]
        self.is_reachable = bool(reached)
        if reached:
            self.env = merged(reached)

    @property
    def end(self) -> Names | None:
        """The names at the end of a way; ``None`` where it does not go on."""
        return self.env if self.is_reachable else None

    @contextmanager
    def loop(self) -> Generator[list[Names], None, None]:
        """Collect the names at each ``break`` and ``continue`` inside."""
        ends: list[Names] = []
        self._loops.append(ends)
        try:
            yield ends
        finally:
            self._loops.pop()

    def leave_loop(self) -> None:
        """Note that ``break`` or ``continue`` stands here."""
        if self._loops and self.is_reachable:
            self._loops[-1].append(self.env)
        self.is_reachable = False


def merged(ways: Sequence[Names]) -> Names:
    """Return what names may be after any of these ways."""
    if len(ways) == 1:
        return ways[0]
    result: Names = {}
    for way in ways:
        for name, value in way.items():
            before = result.get(name)
            result[name] = value if before is None or before == value else union(before, value)
    return result
