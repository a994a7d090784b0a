"""Scopes of a program: which names they bind, and to what, in all places together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from failpath_otel.checking.inference.values import UNKNOWN, Value, union

if TYPE_CHECKING:
    from failpath_otel.checking.inference.modules import Module

Kind = Literal["module", "class", "function"]


class Slots:
    """Values by names. A name that gets another value after it was read makes a further pass necessary."""

    def __init__(self, passes: "Passes") -> None:
        self._passes = passes
        self._values: dict[str, Value] = {}
        self._read: set[str] = set()

    def add(self, name: str, value: Value) -> None:
        """Add to what ``name`` may be."""
        before = self._values.get(name)
        after = value if before is None else union(before, value)
        if before is None or after - before:
            self._values[name] = after
            if name in self._read and after:
                self._passes.is_stale = True

    def get(self, name: str) -> Value:
        """Return what ``name`` may be, as far as is known."""
        self._read.add(name)
        return self._values.get(name, UNKNOWN)

    def __contains__(self, name: str) -> bool:
        return name in self._values


@dataclass
class Passes:
    """Whether something was read before it was known."""

    is_stale: bool = False


class Scope:
    """A module, a class body or a function."""

    def __init__(self, kind: Kind, module: "Module", parent: "Scope | None", passes: Passes) -> None:
        self.kind = kind
        self.module = module
        self.parent = parent
        self.names = Slots(passes)
        self.outer: dict[str, Scope] = {}
        """The names that ``global`` and ``nonlocal`` have declared, and the scopes that they are bound in."""
        self.stars: list[Scope] = []
        """The modules from which all names are imported."""

    @property
    def enclosing(self) -> "Scope | None":
        """The scope in which names are looked up that this one does not bind."""
        parent = self.parent
        while parent is not None and parent.kind == "class":
            parent = parent.parent
        return parent

    def find(self, name: str) -> Value | None:
        """Return what ``name`` may be for code in this scope; ``None`` where nothing binds it."""
        scope: Scope | None = self.outer.get(name, self)
        while scope is not None:
            value = scope.names.get(name)
            if name in scope.names:
                return value
            for star in scope.stars:
                if star is not self and (value := star.names.get(name)):
                    return value
            scope = scope.enclosing
        return None

    def member(self, name: str) -> Value:
        """Return what ``name`` of this module may be."""
        value = self.names.get(name)
        return value or union(*(star.names.get(name) for star in self.stars))

    def scope_of(self, name: str) -> "Scope":
        """Return the scope in which an assignment in this one binds ``name``."""
        return self.outer.get(name, self)
