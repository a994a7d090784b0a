"""Calls: what they return, and which keys they use."""

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from failpath_otel.checking.inference.library import BY_KEYWORD, CLIENTS, METHODS, RULE, own_name
from failpath_otel.checking.inference.values import (
    ANY_RUN,
    CLIENT,
    UNKNOWN,
    Atom,
    Class,
    ClassDefinition,
    Function,
    Imported,
    Instance,
    Items,
    Method,
    Pattern,
    Row,
    Run,
    Table,
    Text,
    Value,
    collection,
    elements,
    of,
    texts,
    union,
)
from failpath_otel.records.matching.templates import Template
from failpath_otel.semconv import FLOW_KEY, STEP_KEY

if TYPE_CHECKING:
    from failpath_otel.checking.inference.expressions import Expressions

_SAME_ITEMS: Final = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter"})
_ENTERING: Final = frozenset({"enter_context", "enter_async_context"})


class Calls:
    """The calls in one scope.

    Args:
        expressions: evaluates what they consist of.
    """

    def __init__(self, expressions: "Expressions") -> None:
        self._expressions = expressions
        self._frame = expressions.frame
        self._uses = expressions.frame.analysis.uses

    def result(self, node: ast.Call) -> Value:
        """Return what a call may return, and note the keys that it uses."""
        evaluate = self._expressions.evaluate
        called = evaluate(node.func)
        arguments = [evaluate(each.value if isinstance(each, ast.Starred) else each) for each in node.args]
        keywords = {each.arg: evaluate(each.value) for each in node.keywords}
        results = [self._call(atom, node, arguments, keywords) for atom in called if not isinstance(atom, Row)]
        if not called:
            results.append(self._of_unknown(node, arguments))
        return union(*results)

    def _call(self, called: object, node: ast.Call, arguments: list[Value], keywords: dict[str | None, Value]) -> Value:
        if isinstance(called, Method):
            return self._method(called, node, 0)
        if isinstance(called, Imported):
            return self._imported(called.name, node, arguments)
        if isinstance(called, Function):
            return self._frame.analysis.returned(called)
        if isinstance(called, Class):
            _fill(called.definition, arguments, keywords)
            return of(Instance(called.definition))
        if isinstance(called, Instance):
            return self._returned(self._expressions.attribute(called, "__call__"))
        return UNKNOWN

    def _of_unknown(self, node: ast.Call, arguments: list[Value]) -> Value:
        """Return what a call of something unknown returns: a built-in function, or a method of a collection."""
        first = arguments[0] if arguments else UNKNOWN
        if isinstance(node.func, ast.Name):
            if node.func.id in _SAME_ITEMS:
                return first
            if node.func.id == "enumerate":
                return collection(Items(collection(Row((UNKNOWN, elements(first))))))
            return UNKNOWN
        if not isinstance(node.func, ast.Attribute):
            return UNKNOWN
        name = node.func.attr
        if name in _ENTERING:
            return self._expressions.entered(first)
        found: list[Value] = []
        for atom in self._expressions.evaluate(node.func.value):
            if isinstance(atom, Table):
                found += [_of_table(atom, name, first)]
        return union(*found)

    def _imported(self, name: str, node: ast.Call, arguments: list[Value]) -> Value:
        own = own_name(name)
        if own is None:
            return self._of_library(name.rpartition(".")[2], node, arguments)
        if own == RULE:
            self._rule(node)
        elif own == f"{RULE}.preset":
            self._preset(node)
        return CLIENT if own in CLIENTS else UNKNOWN

    def _of_library(self, short: str, node: ast.Call, arguments: list[Value]) -> Value:
        """Return what a function of another library returns, of those through which clients and runs are passed."""
        if short == "partial" and arguments:
            for atom in arguments[0]:
                if isinstance(atom, Method):
                    self._method(atom, node, 1)
            return UNKNOWN
        if short == "cast" and len(node.args) > 1:
            return union(self._expressions.annotated(node.args[0]), arguments[1])
        if short in {"Depends", "Security"} and arguments:
            return self._returned(arguments[0])
        if short in {"nullcontext", "closing", "aclosing", "copy", "deepcopy"} and arguments:
            return arguments[0]
        return UNKNOWN

    def _method(self, method: Method, node: ast.Call, skipped: int) -> Value:
        """Note the keys that a call of a client's or a run's method uses; the first arguments are not its own."""
        signature = METHODS[type(method.owner), method.name]
        flows: list[Value] = []
        for name, place in signature.flow_keys:
            flows.append(self._flow_key(argument(node, place + skipped, name)))
        if isinstance(method.owner, Run):
            runs: list[Run] = [method.owner]
        else:
            runs = [Run(text) for text in texts(union(*flows))] or [Run(None)]
        for name, place in signature.step_keys:
            for key, value in self._keys(argument(node, place + skipped, name)):
                self._uses.step(self._frame.source, key, value, runs)
        if not signature.returns_run:
            return UNKNOWN
        return frozenset(runs) if signature.flow_keys and signature.is_of_flow else ANY_RUN

    def _returned(self, value: Value) -> Value:
        return union(*(self._frame.analysis.returned(atom) for atom in value if isinstance(atom, Function)))

    def span_attributes(self, node: ast.Dict, pairs: Sequence[tuple[Value, Value]]) -> None:
        """Note the keys in a dictionary that makes a span a step."""
        flows: list[Value] = []
        for wanted in (FLOW_KEY, STEP_KEY):
            for place, (name, value) in zip(node.values, pairs, strict=True):
                if texts(name) != {wanted}:
                    continue
                if wanted == FLOW_KEY:
                    flows.append(value)
                    self._uses.flow(self._frame.source, place, value)
                else:
                    runs = [Run(text) for text in texts(union(*flows))] or [Run(None)]
                    self._uses.step(self._frame.source, place, value, runs)

    def _rule(self, node: ast.Call) -> None:
        flow = self._flow_key(argument(node, 0, "flow"), is_template=True)
        runs = [Run(text) for text in texts(flow)] or [Run(None)]
        for key, value in self._keys(argument(node, 1, "step")):
            self._uses.step(self._frame.source, key, _rendered(value), runs)

    def _preset(self, node: ast.Call) -> None:
        flow = self._flow_key(argument(node, BY_KEYWORD, "flow"), is_template=True)
        # The steps are named by what the library does.
        self._uses.step(self._frame.source, node, of(Pattern(".*")), [Run(text) for text in texts(flow)])

    def _flow_key(self, node: ast.expr | None, *, is_template: bool = False) -> Value:
        found: list[Value] = []
        for key, value in self._keys(node):
            known = _rendered(value) if is_template else value
            self._uses.flow(self._frame.source, key, known)
            found.append(known)
        return union(*found)

    def _keys(self, node: ast.expr | None) -> Iterator[tuple[ast.expr, Value]]:
        """Yield the expressions that an argument may be, with their values: both branches of a conditional."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return
        if isinstance(node, ast.IfExp):
            yield from self._keys(node.body)
            yield from self._keys(node.orelse)
        elif isinstance(node, ast.BoolOp):
            for each in node.values:
                yield from self._keys(each)
        elif isinstance(node, ast.NamedExpr):
            yield from self._keys(node.value)
        elif isinstance(node, ast.Starred):
            yield node, UNKNOWN
        else:
            yield node, self._expressions.evaluate(node)


def argument(node: ast.Call, place: int, name: str) -> ast.expr | None:
    """Return the argument that a parameter gets, or what it is unpacked from; ``None`` where there is none."""
    for at, each in enumerate(node.args[: place + 1]):
        if at == place or isinstance(each, ast.Starred):
            return each
    unpacked = None
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
        if keyword.arg is None:
            unpacked = ast.copy_location(ast.Starred(keyword.value), keyword.value)
    return unpacked


def _rendered(value: Value) -> Value:
    """Return what templates can become: texts, or patterns of them."""
    found: set[Atom] = set()
    for text in texts(value):
        try:
            template = Template(text)
        except ValueError:
            continue
        found.add(Text(template.text) if template.is_fixed else Pattern(template.pattern))
    return frozenset(found)


def _of_table(table: Table, method: str, first: Value) -> Value:
    if method == "keys":
        return collection(Row(tuple(key for key, _ in table.items)))
    if method == "values":
        return collection(Row(tuple(value for _, value in table.items)))
    if method == "items":
        return collection(Row(tuple(of(Row(pair)) for pair in table.items)))
    if method in {"get", "pop"}:
        return looked_up(table, first)
    return UNKNOWN


def looked_up(table: Table, key: Value) -> Value:
    """Return what ``table[key]`` may be."""
    wanted = texts(key)
    return union(*(value for each, value in table.items if not wanted or not (known := texts(each)) or known & wanted))


def _fill(definition: ClassDefinition, arguments: list[Value], keywords: dict[str | None, Value]) -> None:
    """Add the arguments of a dataclass to the attributes of its objects."""
    if "__init__" in definition.scope.names:
        return
    for name, value in zip(definition.fields, arguments, strict=False):
        definition.attributes.add(name, value)
    for keyword, value in keywords.items():
        if keyword in definition.fields:
            definition.attributes.add(str(keyword), value)
