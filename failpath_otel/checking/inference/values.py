"""What an expression of a program may be, as far as keys depend on it: abstract values."""

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from failpath_otel.checking.inference.scopes import Scope, Slots

_MAX_DEPTH: Final = 2
"""How deep collections inside each other are followed; a function may return what it has returned in another one."""
_MAX_ATOMS: Final = 128
"""How many things a value may be at most; what may be more is not followed."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that stands in the source."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text of which parts are computed: a regular expression that it matches."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Client:
    """A client of this package."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, of one flow where that is known."""

    flow_key: str | None


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a client or a run."""

    owner: Client | Run
    name: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Something of a library, by its name with dots."""

    name: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A type, by what its objects may be: of a ``Literal`` its texts."""

    instances: "Value"


@dataclass(frozen=True, slots=True)
class Unread:
    """A module of the program, or a name of it, that is read when something depends on it."""

    path: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SourceModule:
    """A module whose source is read."""

    scope: "Scope"


@dataclass(frozen=True, slots=True)
class Class:
    """A class in the source."""

    definition: "ClassDefinition"


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class in the source."""

    definition: "ClassDefinition"


@dataclass(frozen=True, slots=True)
class Function:
    """A function in the source, perhaps bound to an object."""

    definition: "FunctionDefinition"


@dataclass(frozen=True, slots=True)
class Row:
    """A list, tuple or set with all its items."""

    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Items:
    """Any number of items."""

    item: "Value"


@dataclass(frozen=True, slots=True)
class Table:
    """A dictionary with all its items."""

    items: tuple[tuple["Value", "Value"], ...]


_Collection = Row | Items | Table
Atom = (
    Text
    | Pattern
    | Client
    | Run
    | Method
    | Imported
    | Kind
    | Unread
    | SourceModule
    | Class
    | Instance
    | Function
    | _Collection
)
Value = frozenset[Atom]
"""All that an expression may be; what is not known is left out, so that the empty one is unknown."""

UNKNOWN: Final[Value] = frozenset()
CLIENT: Final[Value] = frozenset({Client()})
ANY_RUN: Final[Value] = frozenset({Run(None)})


@dataclass(eq=False)
class ClassDefinition:
    """A class: its own names, and the attributes of its objects."""

    name: str
    scope: "Scope"
    attributes: "Slots"
    bases: Value = UNKNOWN
    fields: list[str] = field(default_factory=list[str])
    """The names that its body annotates, in order: the arguments of a dataclass."""


@dataclass(eq=False)
class FunctionDefinition:
    """A function: its parameters, and what its calls return and yield."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: "Scope"
    parameters: "Slots"
    results: "Slots"
    decorators: frozenset[str] = frozenset()
    """The last parts of the names of its decorators."""
    is_generator: bool = False


def of(*atoms: Atom) -> Value:
    """Return the value that is one of ``atoms``."""
    return frozenset(atoms)


def union(*values: Value) -> Value:
    """Return the value that may be any of ``values``."""
    result = UNKNOWN.union(*values)
    return result if len(result) <= _MAX_ATOMS else UNKNOWN


def collection(atom: Row | Items | Table) -> Value:
    """Return the value that is a collection; unknown where it is too large, too deep, or nothing in it is known."""
    contents = _contents(atom)
    if not any(contents) or len(contents) > _MAX_ATOMS or not all(_fits(each, _MAX_DEPTH) for each in contents):
        return UNKNOWN
    return frozenset({atom})


def _contents(atom: Row | Items | Table) -> tuple[Value, ...]:
    if isinstance(atom, Table):
        return tuple(each for pair in atom.items for each in pair)
    return atom.items if isinstance(atom, Row) else (atom.item,)


def _fits(value: Value, depth: int) -> bool:
    """Return whether collections in ``value`` are not deeper inside each other than this."""
    return all(
        depth > 0 and all(_fits(each, depth - 1) for each in _contents(atom))
        for atom in value
        if isinstance(atom, (Row, Items, Table))
    )


def texts(value: Value) -> set[str]:
    """Return the texts that ``value`` may be."""
    return {atom.text for atom in value if isinstance(atom, Text)}


def elements(value: Value) -> Value:
    """Return what an iteration over ``value`` yields."""
    found: list[Value] = []
    for atom in value:
        if isinstance(atom, Row):
            found += atom.items
        elif isinstance(atom, Items):
            found.append(atom.item)
        elif isinstance(atom, Table):
            found += [key for key, _ in atom.items]
    return union(*found)
