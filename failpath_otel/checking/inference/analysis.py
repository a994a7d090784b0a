"""The analysis of a program: what its names are, and which keys it uses, without running it."""

import ast
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from failpath_otel.checking.files.folders import Folders
from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.program import Program
from failpath_otel.checking.files.source import Source, SourceError
from failpath_otel.checking.inference.frames import Frame
from failpath_otel.checking.inference.generated import define_keys
from failpath_otel.checking.inference.library import PACKAGE
from failpath_otel.checking.inference.modules import Module
from failpath_otel.checking.inference.scopes import Scope, Slots, Walks
from failpath_otel.checking.inference.statements import Statements
from failpath_otel.checking.inference.uses import Uses
from failpath_otel.checking.inference.values import (
    CLIENT,
    UNKNOWN,
    Class,
    ClassDefinition,
    Function,
    FunctionDefinition,
    Imported,
    Instance,
    Items,
    SourceModule,
    Unread,
    Value,
    collection,
    elements,
    of,
    union,
)

_MOST_WALKS: Final = 4
"""Walks through one part of the program."""
_DEEPEST: Final = 30
"""Functions that are walked through while another one that calls them is."""
_MATTERS: Final = re.compile(
    rb"\b(?:step|skip|record_step|run|run_from_headers|preset|partial|global|nonlocal)\b|StepRule|\.steps\b"
    rb"|\.\w+\s*(?::[^=\n]+)?=(?!=)|\b(?:as|for)\s+\w+\."
)
"""What is in the text of a function that uses keys, or binds something outside; others are only looked at for what
they return."""
_FIXTURE: Final = "failpath"
_FIRST_ONLY: Final = frozenset({"contextmanager", "asynccontextmanager", "fixture"})
"""Decorators that make of a generator what it yields."""


class Analysis:
    """What is known of a program. Its parts are walked through until nothing new is found.

    Args:
        folders: finds modules.
        program: the files.
    """

    def __init__(self, folders: Folders, program: Program) -> None:
        self._folders = folders
        self._program = program
        self._modules: dict[str, Module | None] = {}
        self._functions: dict[ast.AST, FunctionDefinition] = {}
        self._classes: dict[ast.AST, ClassDefinition] = {}
        self._of_scopes: dict[Scope, ClassDefinition] = {}
        self._pending: dict[object, None] = {}
        self._on_demand: set[FunctionDefinition] = set()
        self._walked: Counter[object] = Counter()
        self._settling: set[Unread] = set()
        self._depth = 0
        self.walks: Final = Walks()
        self.uses: Final = Uses(self.walks)
        self.errors: Final[dict[str, SourceError]] = {}
        """The files that are not Python."""

    def run(self, paths: Sequence[str]) -> None:
        """Find the uses of keys in these files; what they import is read as far as something depends on it."""
        for path in paths:
            self._read(path)
        stale = self.walks.stale
        while self._pending or stale:
            part = next(iter(self._pending or stale))
            self._pending.pop(part, None)
            stale.pop(part, None)
            if self._walked[part] < _MOST_WALKS:
                self._walk(part)

    def _walk(self, part: object) -> None:
        """Walk through a module or a function, perhaps again."""
        outer, self.walks.part = self.walks.part, part
        self._walked[part] += 1
        self.uses.forget(part)
        try:
            if isinstance(part, FunctionDefinition):
                self._walk_function(part)
            elif isinstance(part, Module):
                frame = Frame(self, part.scope)
                if part.source.is_generated:
                    define_keys(frame)
                else:
                    Statements(frame).walk(part.source.tree.body)
        except RecursionError:
            scope = part.scope if isinstance(part, (Module, FunctionDefinition)) else None
            if scope is not None:
                module = scope.module
                place = Place(str(module.source.path))
                self.errors[module.path] = SourceError(place, "cannot be checked: it is nested too deeply")
        finally:
            self.walks.part = outer

    def _read(self, path: str) -> Module | None:
        """Return a module, whose names are known as far as its code has been walked through."""
        if path not in self._modules:
            source = self._program.source(path)
            self._modules[path] = module = None
            if source is not None:
                try:
                    source.tree  # noqa: B018 - parses it
                except SourceError as error:
                    self.errors[path] = error
                else:
                    self._modules[path] = module = Module(path, source, self.walks)
            if module is not None:
                self._walk_inside(module)
        return self._modules[path]

    def _walk_inside(self, part: Module | FunctionDefinition) -> None:
        """Walk through something while something else, which depends on it, is walked through."""
        if self._depth < _DEEPEST:
            self._depth += 1
            self._pending.pop(part, None)
            self._walk(part)
            self._depth -= 1
        else:
            self._pending[part] = None

    def settled(self, value: Value) -> Value:
        """Return ``value`` with what is imported in place of the names of modules that were not read yet."""
        unread = [atom for atom in value if isinstance(atom, Unread)]
        return union(value.difference(unread), *map(self._settle, unread)) if unread else value

    def _settle(self, unread: Unread) -> Value:
        if unread in self._settling:
            return UNKNOWN  # modules that import it from each other
        self._settling.add(unread)
        try:
            module = self._read(unread.path)
            if module is None:
                return UNKNOWN
            return of(SourceModule(module.scope)) if unread.name is None else self.member(module.scope, unread.name)
        finally:
            self._settling.discard(unread)

    def imported(self, source: Source, name: str) -> Value:
        """Return what a name with dots is: a module of the program, or something of a library."""
        path = self._path(source, tuple(name.split(".")))
        return of(Imported(name) if path is None else Unread(path))

    def imported_from(self, source: Source, parts: tuple[str, ...], level: int, name: str) -> Value:
        """Return what ``from … import name`` binds."""
        path = self._path(source, parts, level)
        if path is not None and path != source.absolute:
            return of(Unread(path, name))
        path = self._path(source, (*parts, name), level)
        if path is not None:
            return of(Unread(path))
        return UNKNOWN if level else of(Imported(".".join((*parts, name))))

    def import_all(self, scope: Scope, parts: tuple[str, ...], level: int) -> None:
        """Have a scope see the names of a module."""
        path = self._path(scope.module.source, parts, level)
        module = None if path is None else self._read(path)
        if module is not None and module.scope not in scope.stars:
            scope.stars.append(module.scope)
        elif module is None and parts and parts[0] == PACKAGE:
            for name in ("configure", "Failpath", "FailpathClient", "Run", "StepRule", "MockFailpath"):
                scope.names.add(name, of(Imported(f"{PACKAGE}.{name}")))

    def member(self, scope: Scope, name: str) -> Value:
        """Return what a name of a module is: one that it binds, or a module in its package."""
        value = self.settled(scope.member(name))
        if value or name in scope.names or scope.module.source.path.name != "__init__.py":
            return value
        path = self._path(scope.module.source, (name,), 1)
        return UNKNOWN if path is None else self.settled(of(Unread(path)))

    def _path(self, source: Source, parts: tuple[str, ...], level: int = 0) -> str | None:
        return self._folders.module(source.absolute, parts, level)

    def function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope, decorators: frozenset[str]
    ) -> FunctionDefinition:
        """Return the function that a node in ``scope`` defines."""
        definition = self._functions.get(node)
        if definition is None:
            inner = Scope("function", scope.module, scope, self.walks)
            slots = Slots(self.walks), Slots(self.walks)
            text = scope.module.source.text(node)
            definition = FunctionDefinition(node, inner, *slots, decorators, b"yield" in text and _yields(node))
            if not isinstance(node, ast.Lambda) and not _MATTERS.search(text):
                self._on_demand.add(definition)
            self._functions[node] = definition
        return definition

    def class_definition(self, node: ast.ClassDef, scope: Scope) -> ClassDefinition:
        """Return the class that a node in ``scope`` defines."""
        definition = self._classes.get(node)
        if definition is None:
            inner = Scope("class", scope.module, scope, self.walks)
            definition = ClassDefinition(node.name, inner, Slots(self.walks))
            self._classes[node] = self._of_scopes[inner] = definition
        return definition

    def class_of(self, scope: Scope) -> ClassDefinition | None:
        """Return the class whose body is ``scope``."""
        return self._of_scopes.get(scope)

    def walk_later(self, definition: FunctionDefinition) -> None:
        """Have a function be walked through when what is around it is known."""
        is_relevant = definition.scope.module.path in self._program.relevant
        if is_relevant and not self._walked[definition] and definition not in self._on_demand:
            self._pending[definition] = None

    def returned(self, function: Function) -> Value:
        """Return what a call of a function returns."""
        definition = function.definition
        self._declare(definition)
        if not self._walked[definition]:
            # Now, because what calls it would otherwise have to be walked through again.
            self._on_demand.discard(definition)
            self._walk_inside(definition)
        results = definition.results
        if not definition.is_generator:
            return results.get("return")
        yielded = results.get("yield")
        if definition.decorators & _FIRST_ONLY:
            return yielded
        return collection(Items(yielded))

    def _declare(self, definition: FunctionDefinition) -> None:
        """Add what the annotation of a function says that it returns."""
        node, around = definition.node, definition.scope.parent
        if isinstance(node, ast.Lambda) or node.returns is None or around is None:
            return
        declared = Frame(self, around).expressions.annotated(node.returns)
        if definition.is_generator:
            definition.results.add("yield", elements(declared))
        elif declared:
            definition.results.add("return", declared)

    def _walk_function(self, definition: FunctionDefinition) -> None:
        node, scope = definition.node, definition.scope.parent
        if isinstance(node, ast.Lambda) or scope is None:
            return
        self._declare(definition)
        annotated = Frame(self, scope).expressions.annotated
        frame = Frame(self, definition.scope, definition.results)
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        owner = self.class_of(scope)
        for place, each in enumerate((*named, *arguments.kwonlyargs)):
            value = union(definition.parameters.get(each.arg), annotated(each.annotation))
            if owner is not None and place == 0 and named and "staticmethod" not in definition.decorators:
                is_class = "classmethod" in definition.decorators or node.name in {"__new__", "__init_subclass__"}
                value = of(Class(owner) if is_class else Instance(owner))
            elif not value and scope.module.is_test:
                value = self._fixture(scope, each.arg, node.name)
            frame.bind(each.arg, value)
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                frame.bind(rest.arg, UNKNOWN)
        Statements(frame).walk(node.body)

    def _fixture(self, scope: Scope, name: str, inside: str) -> Value:
        """Return what a fixture of pytest provides: of this module, of a ``conftest.py``, else of this package."""
        modules = [scope.module, *map(self._read, self._folders.conftests(scope.module.path))]
        for module in modules:
            if module is None or (name == inside and module is scope.module):
                continue  # a fixture that overrides another one of its name
            value = self.settled(module.scope.member(name))
            found = [atom for atom in value if isinstance(atom, Function) and "fixture" in atom.definition.decorators]
            if found:
                return UNKNOWN.union(*map(self.returned, found))
        return CLIENT if name == _FIXTURE else UNKNOWN


def _yields(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Return whether a function in whose text there is ``yield`` is a generator, and not only one inside it."""
    waiting: list[ast.AST] = list(node.body) if not isinstance(node, ast.Lambda) else [node.body]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(each)
    return False
