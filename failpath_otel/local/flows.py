"""What is known of each flow: its newest runs, and the numbers, the shape and the layout that follow from them."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from failpath_otel.local.flows_file import FlowsFile
from failpath_otel.local.layout import Layout, layout
from failpath_otel.local.rows import StoredRun
from failpath_otel.local.statistics import WINDOW, FlowStats, StepStats, flow_stats, step_stats
from failpath_otel.local.store import Store
from failpath_otel.local.summary import AttemptSummary
from failpath_otel.local.topology import DeclaredFlow, Shape, shape_of

_CHANGES: Final = 500
"""How many changed runs are asked for at once; beyond these everything is looked at anew."""


@dataclass(frozen=True)
class FlowFacts:
    """The newest runs of a flow, the one that was active last first, and what follows from them."""

    runs: list[StoredRun]
    declared: DeclaredFlow | None
    older: Sequence[AttemptSummary] | None = None
    """A run that is not among the newest, and whose steps the shape has too."""

    def beside(self, attempts: Sequence[AttemptSummary]) -> "FlowFacts":
        """The same, with a shape that also has the steps of a run with these attempts."""
        known = {node.step_key for node in self.shape.nodes}
        if all(attempt.step_key in known for attempt in attempts):
            return self
        return replace(self, older=attempts)

    @cached_property
    def stats(self) -> FlowStats:
        """The numbers of the flow."""
        return flow_stats([stored.row for stored in self.runs])

    @cached_property
    def steps(self) -> dict[str, StepStats]:
        """The numbers of each of its steps."""
        return step_stats(self.runs)

    @cached_property
    def shape(self) -> Shape:
        """Its steps, and the ways between them."""
        runs = [stored.attempts for stored in reversed(self.runs)]
        return shape_of(runs if self.older is None else [self.older, *runs], self.declared)

    @cached_property
    def layout(self) -> Layout:
        """Where its steps are drawn: a matter of its shape alone."""
        keys = [node.step_key for node in self.shape.nodes]
        return layout(keys, {(edge.source, edge.target) for edge in self.shape.edges})


class Flows:
    """The facts of every flow, looked up again when one of its runs has changed. For any number of threads."""

    def __init__(self, store: Store, declared: FlowsFile | None) -> None:
        self._store = store
        self._declared = declared
        self._lock = threading.Lock()
        self._facts: dict[str, FlowFacts] = {}
        self._seen = 0

    def known(self) -> list[str]:
        """The flows that have runs, and then those that are only declared."""
        seen = self._store.flow_keys()
        return seen + [key for key in self._declarations() if key not in set(seen)]

    def facts(self, flow_key: str) -> FlowFacts:
        """What is known of a flow now; one that nobody knows has no runs and no steps."""
        declared = self._declarations().get(flow_key)
        with self._lock:
            self._forget_changed()
            facts = self._facts.get(flow_key)
            if facts is None or facts.declared != declared:
                facts = FlowFacts(self._store.newest(flow_key, WINDOW), declared)
                if facts.runs or declared:
                    self._facts[flow_key] = facts
            return facts

    def p95_ms(self, flow_key: str, step_key: str) -> float | None:
        """The 95th percentile of the durations of a step, in milliseconds, where enough of them are known."""
        stats = self.facts(flow_key).steps.get(step_key)
        return None if stats is None else stats.p95_ms

    def forget(self) -> None:
        """Looks everything up again: runs were deleted."""
        with self._lock:
            self._facts.clear()

    def _declarations(self) -> Mapping[str, DeclaredFlow]:
        return {} if self._declared is None else self._declared.flows()

    def _forget_changed(self) -> None:
        changed = self._store.changes(self._seen, _CHANGES)
        if not changed:
            return
        if len(changed) == _CHANGES:
            self._seen = self._store.revision()
            self._facts.clear()
            return
        self._seen = changed[-1].revision
        for row in changed:
            self._facts.pop(row.flow_key, None)
