"""Annotations: what a name is that is declared to be of a type."""

import ast
from typing import TYPE_CHECKING, Final

from failpath_otel.checking.inference.library import instance_of
from failpath_otel.checking.inference.values import (
    UNKNOWN,
    Class,
    Imported,
    Instance,
    Items,
    Kind,
    Table,
    Value,
    collection,
    of,
    union,
)

if TYPE_CHECKING:
    from failpath_otel.checking.inference.expressions import Expressions

_TRANSPARENT: Final = frozenset(
    {
        "Annotated",
        "ClassVar",
        "Final",
        "InitVar",
        "NotRequired",
        "Optional",
        "ReadOnly",
        "Required",
        "Union",
        "Awaitable",
    }
)
_COLLECTIONS: Final = frozenset(
    {"list", "List", "set", "Set", "frozenset", "FrozenSet", "tuple", "Tuple", "deque", "Sequence", "MutableSequence"}
    | {"Collection", "Iterable", "Iterator", "Generator", "AsyncIterable", "AsyncIterator", "AsyncGenerator"}
)
_MAPPINGS: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict"})


class Annotations:
    """The annotations of one scope.

    Args:
        expressions: evaluates the names in them.
    """

    def __init__(self, expressions: "Expressions") -> None:
        self._expressions = expressions

    def value(self, node: ast.expr | None) -> Value:
        """Return what a name with this annotation may be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                return self.value(ast.parse(node.value.strip(), mode="eval").body)
            except (SyntaxError, ValueError, RecursionError):
                return UNKNOWN
        if isinstance(node, ast.BinOp):
            return union(self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Subscript):
            return self._generic(node)
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return UNKNOWN
        return union(*(self.instance(atom) for atom in self._expressions.evaluate(node)))

    def instance(self, kind: object) -> Value:
        """Return what an object of a class is."""
        if isinstance(kind, Imported):
            return instance_of(kind.name)
        if isinstance(kind, Kind):
            return kind.instances
        return of(Instance(kind.definition)) if isinstance(kind, Class) else UNKNOWN

    def _generic(self, node: ast.Subscript) -> Value:
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        name = _last_name(node.value) if inner else ""  # `tuple[()]` has none
        if name == "Literal":
            return union(*(self._expressions.evaluate(each) for each in inner))
        if name == "Annotated":
            return union(self.value(inner[0]), *(self._expressions.evaluate(each) for each in inner[1:]))
        if name in _TRANSPARENT:
            return union(*map(self.value, inner))
        if name in _COLLECTIONS:
            return collection(Items(self.value(inner[0])))
        if name in _MAPPINGS and len(inner) > 1:
            return collection(Table(((self.value(inner[0]), self.value(inner[1])),)))
        return self.value(node.value)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
