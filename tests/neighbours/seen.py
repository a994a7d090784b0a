"""What a neighbour's backend has seen: spans and errors, comparable between two runs of one program."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fault_server import Request


@dataclass(frozen=True)
class Seen:
    """A span or an error; ``ours`` if it is a span of a step or of a run, ``facts`` without what differs each time."""

    name: str
    span_id: object
    parent_id: object
    facts: Mapping[str, Any]
    ours: bool = False


Reader = Callable[[Sequence[Request]], list[Seen]]
"""Reads everything out of a backend's requests."""


def compared(seen: Sequence[Seen], *, nested: bool = True) -> Counter[str]:
    """What is not ours, each with the names of all spans around it that are not ours (``nested``), and how often."""
    by_id = {item.span_id: item for item in seen if item.span_id}

    def path(item: Seen) -> list[str]:
        names = [] if item.ours else [item.name]
        parent = by_id.get(item.parent_id)
        return names if parent is None or parent is item else [*path(parent), *names]

    def text(item: Seen) -> str:
        return f"{' > '.join(path(item)) if nested else item.name} {sorted(item.facts.items())}"

    return Counter(text(item) for item in seen if not item.ours)


def ours(seen: Sequence[Seen]) -> Counter[str]:
    """The names of those that are ours, and how often."""
    return Counter(item.name for item in seen if item.ours)
