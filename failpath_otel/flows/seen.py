"""Flows as a receiver has seen them in runs: what ``/api/flows`` answers."""

import msgspec


class SeenStep(msgspec.Struct, frozen=True, rename="camel"):
    """A step, and the number of runs that had it."""

    step_key: str
    runs: int


class SeenEdge(msgspec.Struct, frozen=True, rename="camel"):
    """``target`` came after ``source``, with no step between them, in this number of runs."""

    source: str
    target: str
    runs: int


class SeenFlow(msgspec.Struct, frozen=True, rename="camel"):
    """A flow: the number of its newest runs that were looked at, and their steps, as these were first seen."""

    flow_key: str
    runs: int
    steps: list[SeenStep]
    edges: list[SeenEdge]


class SeenFlows(msgspec.Struct, frozen=True):
    """Flows that have runs; where there are more, ``next`` is what to ask with as ``after``."""

    flows: list[SeenFlow]
    next: str | None = None
