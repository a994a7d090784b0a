"""An edge of a flow's graph."""

from typing import Literal

import msgspec

Kind = Literal["next", "back", "inside"]
"""Of an edge: the target comes after the source; it runs again after it; it is among the first that run inside it."""


class Edge(msgspec.Struct, frozen=True, rename="camel"):
    """An edge from ``source`` to ``target``, its kind, and the number of runs that took it."""

    source: str
    target: str
    taken: int
    kind: Kind = "next"
