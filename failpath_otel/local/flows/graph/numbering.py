"""Numbers of a flow's nodes, so that sets of them are the bits of a number."""

import threading
from collections.abc import Mapping


class Numbering:
    """Counts nodes as they come. Thread-safe; ``folded`` names the nodes of steps that are no node of their own.

    ``joined`` are the numbers of those nodes.
    """

    def __init__(self, folded: Mapping[str, str] | None = None) -> None:
        self.folded: Mapping[str, str] = folded or {}
        self.nodes: list[str] = []
        self.joined: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, step_key: str) -> int:
        """Return the number of the node that a step belongs to."""
        number = self._numbers.get(step_key)
        return self._new(step_key) if number is None else number

    def _new(self, step_key: str) -> int:
        with self._lock:
            node = self.folded.get(step_key, step_key)
            number = self._numbers.get(node)
            if number is None:
                number = len(self.nodes)
                self.nodes.append(node)
                self._numbers[node] = number
            if node != step_key:
                self.joined.add(number)
                self._numbers[step_key] = number
            return number
