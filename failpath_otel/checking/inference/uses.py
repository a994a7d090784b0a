"""Uses of keys in a program: where, which keys, and of which flows."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.source import Source
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


class Uses:
    """All uses that were found, each once."""

    def __init__(self) -> None:
        self.flows: Final[dict[tuple[str, int, int], Use]] = {}
        self.steps: Final[dict[tuple[str, int, int], Use]] = {}

        self.mentioned: set[str] = set()
        """Texts that stand behind attributes, such as constants of a module."""

    def clear(self) -> None:
        """Forget all uses, because what follows knows more."""
        self.flows.clear()
        self.steps.clear()
        self.mentioned.clear()

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

    @staticmethod
    def _use(uses: dict[tuple[str, int, int], Use], source: Source, node: ast.expr) -> Use:
        return uses.setdefault((str(source.path), node.lineno, node.col_offset), Use(source, node))
