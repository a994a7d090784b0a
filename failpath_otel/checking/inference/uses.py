"""Uses of keys in a program: where, which keys, and of which flows."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.source import Source
from failpath_otel.checking.inference.scopes import Walks
from failpath_otel.checking.inference.values import Pattern, Run, Text, Value


@dataclass
class Use:
    """One place in which a key is used. Where neither a key nor a pattern is known, the key is computed."""

    source: Source
    node: ast.expr
    keys: set[str] = field(default_factory=set[str])
    patterns: set[str] = field(default_factory=set[str])
    flows: set[str] = field(default_factory=set[str])
    """Of a step key: the flows that its run may be of."""
    any_flow: bool = False
    """Of a step key: its run may be of a flow that is not known."""

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.source.place(self.node)

    @property
    def last_line(self) -> int:
        """The line in which it ends."""
        return self.node.end_lineno or self.node.lineno

    def add(self, value: Value) -> None:
        """Add what the key may be."""
        for atom in value:
            if isinstance(atom, Text):
                self.keys.add(atom.text)
            elif isinstance(atom, Pattern):
                self.patterns.add(atom.pattern)


Position = tuple[str, int, int]


class Uses:
    """All uses that were found, each once.

    Args:
        walks: says which part of the program is walked through.
    """

    def __init__(self, walks: Walks) -> None:
        self._walks: Final = walks
        self._of_parts: dict[object, list[tuple[dict[Position, Use], Position]]] = {}
        self.flows: Final[dict[Position, Use]] = {}
        self.steps: Final[dict[Position, Use]] = {}
        self.mentioned: Final[set[str]] = set()
        """Texts that stand behind attributes, such as constants of a module."""

    def forget(self, part: object) -> None:
        """Forget the uses in a part of the program, which is walked through again with better knowledge."""
        for uses, position in self._of_parts.pop(part, ()):
            uses.pop(position, None)

    def flow(self, source: Source, node: ast.expr, value: Value) -> None:
        """Add the use of a flow key."""
        self._use(self.flows, source, node).add(value)

    def step(self, source: Source, node: ast.expr, value: Value, runs: Iterable[Run]) -> None:
        """Add the use of a step key of one of ``runs``."""
        use = self._use(self.steps, source, node)
        use.add(value)
        for run in runs:
            if run.flow_key is None:
                use.any_flow = True
            else:
                use.flows.add(run.flow_key)

    def _use(self, uses: dict[Position, Use], source: Source, node: ast.expr) -> Use:
        position = str(source.path), node.lineno, node.col_offset
        use = uses.get(position)
        if use is None:
            use = uses[position] = Use(source, node)
            self._of_parts.setdefault(self._walks.part, []).append((uses, position))
        return use
