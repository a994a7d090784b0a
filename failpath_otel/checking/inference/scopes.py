"""Scopes of a program: which names they bind, and to what, in all places together."""

from typing import TYPE_CHECKING, Literal

from failpath_otel.checking.inference.values import UNKNOWN, Value, union

if TYPE_CHECKING:
    from failpath_otel.checking.inference.modules import Module

Kind = Literal["module", "class", "function"]


class Walks:
    """Which part of the program is walked through, and which parts have read what they did not know yet."""

    def __init__(self) -> None:
        self.part: object = None
        """The module or function whose code is walked through."""
        self.stale: dict[object, None] = {}
        """Parts that have to be walked through again, because something that they have read is known better now."""


class Slots:
    """Values by names, and which parts of the program have read them."""

    def __init__(self, walks: Walks) -> None:
        self._walks = walks
        self._values: dict[str, Value] = {}
        self._readers: dict[str, set[object]] = {}

    def add(self, name: str, value: Value) -> None:
        """Add to what ``name`` may be."""
        before = self._values.get(name)
        after = value if before is None else union(before, value)
        if before is None or after - before:
            self._values[name] = after
            if after and name in self._readers:
                self._walks.stale.update(dict.fromkeys(self._readers[name]))

    def get(self, name: str) -> Value:
        """Return what ``name`` may be, as far as is known."""
        readers = self._readers.get(name)
        if readers is None:
            readers = self._readers[name] = set()
        readers.add(self._walks.part)
        return self._values.get(name, UNKNOWN)

    def __contains__(self, name: str) -> bool:
        return name in self._values


class Scope:
    """A module, a class body or a function."""

    def __init__(self, kind: Kind, module: "Module", parent: "Scope | None", walks: Walks) -> None:
        self.kind = kind
        self.module = module
        self.parent = parent
        self.names = Slots(walks)
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
