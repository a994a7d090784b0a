"""A flow as it is declared: its key, its steps, and the order that its edges give them."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

_ENDS: Final = (("source", "target"), ("from", "to"))
"""How an edge may call its two ends."""


class Node(msgspec.Struct, frozen=True):
    """A step of a flow: its key and its label, which is the key where there is none."""

    key: str
    label: str


class Flow(msgspec.Struct, frozen=True):
    """A flow: its key, its nodes in the order of the file, and its edges as pairs of step keys.

    The file may have no edges, or edges of a form that is not known: then there are none here.
    """

    slug: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...] = ()


class DeclaredNode(NamedTuple):
    """What a file says of a node, of any type but the key."""

    key: str
    label: object
    id: object


def nodes_of(declared: Iterable[DeclaredNode]) -> tuple[Node, ...]:
    """Return the nodes, of two with one key the first."""
    nodes: dict[str, Node] = {}
    for node in declared:
        label = node.label if isinstance(node.label, str) and node.label.strip() else node.key
        nodes.setdefault(node.key, Node(node.key, label))
    return tuple(nodes.values())


def edges_of(edges: object, declared: Iterable[DeclaredNode]) -> tuple[tuple[str, str], ...]:
    """Return the edges whose ends are nodes, named by their ids or their keys, as pairs of keys; each once."""
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    for node in declared:
        names[node.key] = node.key
        if (name := _name(node.id)) is not None:
            ids.setdefault(name, node.key)
    names |= ids
    found: dict[tuple[str, str], None] = {}
    for item in edges if isinstance(edges, list) else ():
        edge = _ends(item, names)
        if edge is not None and edge[0] != edge[1]:
            found[edge] = None
    return tuple(found)


def _ends(edge: object, names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the step keys of the first pair of ends that both name a node."""
    if not isinstance(edge, dict):
        return None
    for pair in _ENDS:
        source, target = (None if (name := _name(edge.get(end))) is None else names.get(name) for end in pair)
        if source is not None and target is not None:
            return source, target
    return None


def _name(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
