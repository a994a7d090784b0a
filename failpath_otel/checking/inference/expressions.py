"""Expressions: what they may be, as far as clients, runs and texts are concerned."""

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from failpath_otel.checking.inference.annotations import Annotations
from failpath_otel.checking.inference.calls import Calls, looked_up
from failpath_otel.checking.inference.library import METHODS
from failpath_otel.checking.inference.values import (
    UNKNOWN,
    Atom,
    Class,
    ClassDefinition,
    Client,
    Function,
    FunctionDefinition,
    Imported,
    Instance,
    Items,
    Kind,
    Method,
    Pattern,
    Row,
    Run,
    SourceModule,
    Table,
    Text,
    Value,
    collection,
    elements,
    of,
    texts,
    union,
)

if TYPE_CHECKING:
    from failpath_otel.checking.inference.frames import Frame

_ANYTHING: Final = ".*"
_MAX_CHARS: Final = 10_000
"""Of a text that consists of others; one that doubles with each line would fill the memory."""
_MAX_COMPUTED: Final = 3
"""Parts of a text that may be anything; matching takes time with the power of their number."""
_LITERALS: Final = frozenset({"typing.Literal", "typing_extensions.Literal"})


class Expressions:
    """The expressions of one scope.

    Args:
        frame: the names that are bound.
    """

    def __init__(self, frame: "Frame") -> None:
        self.frame: Final = frame
        self._calls: Final = Calls(self)
        self._annotations: Final = Annotations(self)
        self.annotated: Final = self._annotations.value

    def evaluate(self, node: ast.expr | None) -> Value:
        """Return what ``node`` may be, and note the keys that it uses."""
        if node is None:
            return UNKNOWN
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node)
        self._visit(node)
        return UNKNOWN

    def _visit(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.evaluate(child)
            elif not isinstance(child, ast.expr_context):
                self._visit(child)

    def attribute(self, atom: Atom, name: str) -> Value:  # noqa: PLR0911 - a kind of thing each
        """Return what an attribute of something may be."""
        if isinstance(atom, (Client, Run)):
            if (type(atom), name) in METHODS:
                return of(Method(atom, name))
            is_key = isinstance(atom, Run) and name == "flow_key" and atom.flow_key is not None
            return of(Text(atom.flow_key)) if is_key and isinstance(atom, Run) and atom.flow_key else UNKNOWN
        if isinstance(atom, Imported):
            analysis = self.frame.analysis
            return analysis.settled(analysis.imported(self.frame.source, f"{atom.name}.{name}"))
        if isinstance(atom, SourceModule):
            return self.frame.analysis.member(atom.scope, name)
        if isinstance(atom, Class):
            return self._of_class(atom.definition, name)
        if isinstance(atom, Instance):
            found = atom.definition.attributes.get(name)
            return union(found, self._of_object(self._of_class(atom.definition, name), atom.definition, name))
        if isinstance(atom, Text) and name in {"value", "_value_"}:  # of an enumeration
            return of(atom)
        return UNKNOWN

    def _of_object(self, found: Value, definition: ClassDefinition, name: str) -> Value:
        """Return an attribute of a class as its objects have it: of a property its result."""
        values: list[Value] = []
        for atom in found:
            if isinstance(atom, Function) and atom.definition.decorators & {"property", "cached_property"}:
                values.append(self.frame.analysis.returned(atom))
            else:
                values.append(of(atom))
        if not found:
            values += [
                self.attribute(own, name)
                for base in definition.bases
                if isinstance(base, Imported)
                for own in self._annotations.instance(base)
            ]
        return union(*values)

    def _of_class(self, definition: ClassDefinition, name: str, depth: int = 0) -> Value:
        found = definition.scope.names.get(name)
        if found or name in definition.scope.names or depth > 8:  # noqa: PLR2004 - a class may be its own base by mistake
            return found
        return union(
            *(
                union(self._of_class(base.definition, name, depth + 1), base.definition.attributes.get(name))
                for base in definition.bases
                if isinstance(base, Class)
            )
        )

    def entered(self, value: Value) -> Value:
        """Return what ``with`` binds for what ``value`` may be."""
        found: list[Value] = []
        for atom in value:
            if isinstance(atom, Instance):
                methods = union(self.attribute(atom, "__enter__"), self.attribute(atom, "__aenter__"))
                found += [self.frame.analysis.returned(each) for each in methods if isinstance(each, Function)]
            else:
                found.append(of(atom))
        return union(*found)

    def _name(self, node: ast.Name) -> Value:
        return self.frame.look_up(node.id)

    def _attribute(self, node: ast.Attribute) -> Value:
        value = union(*(self.attribute(atom, node.attr) for atom in self.evaluate(node.value)))
        value = self.frame.analysis.settled(value)  # of an import in the body of a class
        # A constant is in the code where it is named.
        self.frame.analysis.uses.mentioned.update(texts(value))
        return value

    def _constant(self, node: ast.Constant) -> Value:
        return of(Text(node.value)) if type(node.value) is str else UNKNOWN

    def _call(self, node: ast.Call) -> Value:
        return self._calls.result(node)

    def _conditional(self, node: ast.IfExp) -> Value:
        self.evaluate(node.test)
        return union(self.evaluate(node.body), self.evaluate(node.orelse))

    def _boolean(self, node: ast.BoolOp) -> Value:
        return union(*[self.evaluate(each) for each in node.values])

    def _inner(self, node: ast.Await | ast.Starred) -> Value:
        return self.evaluate(node.value)

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> Value:
        value = self.evaluate(node.value)
        if isinstance(node, ast.YieldFrom):
            value = elements(value)
        self.frame.results.add("yield", value)
        return UNKNOWN

    def _assigned(self, node: ast.NamedExpr) -> Value:
        value = self.evaluate(node.value)
        self.frame.bind(node.target.id, value)
        return value

    def _joined(self, node: ast.JoinedStr) -> Value:
        parts: list[Value] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.evaluate(part.value)
                if part.format_spec is not None:
                    self.evaluate(part.format_spec)
                plain = part.format_spec is None and part.conversion in {-1, ord("s")}
                parts.append(value if plain else UNKNOWN)
            else:
                parts.append(self.evaluate(part))
        return _concatenated(parts)

    def _operation(self, node: ast.BinOp) -> Value:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        if isinstance(node.op, ast.Add):
            if texts(left) or texts(right):
                return _concatenated([left, right])
            item = union(elements(left), elements(right))
            return collection(Items(item))
        return UNKNOWN

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        values = tuple(self.evaluate(each) for each in node.elts)
        if any(isinstance(each, ast.Starred) for each in node.elts):
            items = [
                elements(value) if isinstance(each, ast.Starred) else value
                for each, value in zip(node.elts, values, strict=True)
            ]
            return collection(Items(union(*items)))
        return collection(Row(values))

    def _dictionary(self, node: ast.Dict) -> Value:
        pairs = [(self.evaluate(key), self.evaluate(value)) for key, value in zip(node.keys, node.values, strict=True)]
        self._calls.span_attributes(node, pairs)
        return collection(Table(tuple(pairs)))

    def _subscript(self, node: ast.Subscript) -> Value:
        found, key = self.evaluate(node.value), self.evaluate(node.slice)
        values: list[Value] = []
        for atom in found:
            if isinstance(atom, Table):
                values.append(looked_up(atom, key))
            elif isinstance(atom, Row):
                place = node.slice.value if isinstance(node.slice, ast.Constant) else None
                if type(place) is int and 0 <= place < len(atom.items):
                    values.append(atom.items[place])
                elif isinstance(node.slice, ast.Slice):
                    values.append(collection(Items(union(*atom.items))))
                else:
                    values.append(union(*atom.items))
            elif isinstance(atom, Items):
                values.append(of(atom) if isinstance(node.slice, ast.Slice) else atom.item)
            elif isinstance(atom, Imported) and atom.name in _LITERALS:
                values.append(of(Kind(union(key, elements(key)))))
            elif isinstance(atom, (Class, Imported, Kind)):  # a generic class
                values.append(of(atom))
        return union(*values)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value:
        with self.frame.inside():
            self._generators(node.generators)
            item = self.evaluate(node.elt)
        return collection(Items(item))

    def _dictionary_comprehension(self, node: ast.DictComp) -> Value:
        with self.frame.inside():
            self._generators(node.generators)
            key, value = self.evaluate(node.key), self.evaluate(node.value)
        return collection(Table(((key, value),)))

    def _generators(self, generators: list[ast.comprehension]) -> None:
        for each in generators:
            self.frame.assign(each.target, elements(self.evaluate(each.iter)))
            for condition in each.ifs:
                self.evaluate(condition)

    def _lambda(self, node: ast.Lambda) -> Value:
        definition = self.frame.new_function(node, frozenset())
        with self.frame.inside():
            for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                self.frame.env[each.arg] = definition.parameters.get(each.arg)
            definition.results.add("return", self.evaluate(node.body))
        return of(Function(definition))

    def parameters(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, definition: FunctionDefinition
    ) -> None:
        """Evaluate the defaults of parameters, in the scope around their function."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        for each, default in zip(reversed(named), reversed(arguments.defaults), strict=False):
            definition.parameters.add(each.arg, self.evaluate(default))
        for each, optional in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            definition.parameters.add(each.arg, self.evaluate(optional))


def _concatenated(parts: list[Value]) -> Value:
    """Return the text that consists of these, or the pattern of it."""
    choices = [texts(part) for part in parts]
    if sum(len(text) for each in choices for text in each) > _MAX_CHARS:
        return UNKNOWN
    if all(len(each) == 1 for each in choices):
        return of(Text("".join(next(iter(each)) for each in choices)))
    pieces: list[str] = []
    for each in choices:
        if each or pieces[-1:] != [_ANYTHING]:
            pieces.append(f"(?:{'|'.join(map(re.escape, sorted(each)))})" if each else _ANYTHING)
    computed = [place for place, piece in enumerate(pieces) if piece is _ANYTHING]
    if len(computed) > _MAX_COMPUTED:
        # What is between two of them may be anything then, too.
        pieces[computed[_MAX_COMPUTED - 1] : computed[-1] + 1] = [_ANYTHING]
    return of(Pattern("".join(pieces))) if any(map(any, choices)) else UNKNOWN


_HANDLERS: Final[dict[type[ast.expr], Callable[[Expressions, Any], Value]]] = {
    ast.Name: Expressions._name,  # noqa: SLF001 - its own
    ast.Attribute: Expressions._attribute,  # noqa: SLF001
    ast.Constant: Expressions._constant,  # noqa: SLF001
    ast.Call: Expressions._call,  # noqa: SLF001
    ast.IfExp: Expressions._conditional,  # noqa: SLF001
    ast.BoolOp: Expressions._boolean,  # noqa: SLF001
    ast.Await: Expressions._inner,  # noqa: SLF001
    ast.Starred: Expressions._inner,  # noqa: SLF001
    ast.Yield: Expressions._yield,  # noqa: SLF001
    ast.YieldFrom: Expressions._yield,  # noqa: SLF001
    ast.NamedExpr: Expressions._assigned,  # noqa: SLF001
    ast.JoinedStr: Expressions._joined,  # noqa: SLF001
    ast.BinOp: Expressions._operation,  # noqa: SLF001
    ast.List: Expressions._sequence,  # noqa: SLF001
    ast.Tuple: Expressions._sequence,  # noqa: SLF001
    ast.Set: Expressions._sequence,  # noqa: SLF001
    ast.Dict: Expressions._dictionary,  # noqa: SLF001
    ast.Subscript: Expressions._subscript,  # noqa: SLF001
    ast.ListComp: Expressions._comprehension,  # noqa: SLF001
    ast.SetComp: Expressions._comprehension,  # noqa: SLF001
    ast.GeneratorExp: Expressions._comprehension,  # noqa: SLF001
    ast.DictComp: Expressions._dictionary_comprehension,  # noqa: SLF001
    ast.Lambda: Expressions._lambda,  # noqa: SLF001
}
