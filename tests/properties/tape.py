"""A client whose records are kept as the bytes that would have been sent, and a look at all of them."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from failpath_otel import StepRule
from failpath_otel.configure import FailpathClient
from failpath_otel.joined_providers import Join
from failpath_otel.options.options import Options
from failpath_otel.records.compact import json_of
from failpath_otel.records.record import Record
from failpath_otel.testing import _ArrivedRecords
from tests.schema import moment, valid_record

TIMES: Final = float(os.environ.get("PROPERTIES", "1"))


def properties(examples: int, *, steps: int = 50) -> settings:
    """So many examples, times the variable ``PROPERTIES``; a failure prints what repeats it."""
    return settings(
        max_examples=max(1, round(examples * TIMES)),
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        # Without explanations, which take longer than the finding.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


class _Kept(_ArrivedRecords):
    def __init__(self, kept: list[bytes]) -> None:
        self._kept = kept
        super().__init__([], None)

    def add(self, record: bytes) -> None:
        self._kept.append(json_of(record))
        super().add(record)


class Tape(FailpathClient):
    """A client that keeps its records."""

    def __init__(
        self,
        *,
        default_metadata: Mapping[str, Any] | None = None,
        redact: Callable[[str, Any], object] | None = None,
        provider: TracerProvider | None = None,
        rules: Sequence[StepRule] | None = None,
    ) -> None:
        self.kept: list[bytes] = []
        options = Options.resolve(
            project_key="fp_project_tape",
            default_metadata=default_metadata,
            redact=redact,
            capture_stack=True,
            rules=rules,
        )
        join = Join(options, lambda _: _Kept(self.kept).pipeline)
        if provider is not None:
            join.add_to(provider)
        super().__init__(provider or NoOpTracerProvider(), join)

    def records(self) -> list[Record]:
        """All records, each of them valid, and those of one step in their order."""
        records = [valid_record(kept) for kept in self.kept]
        check_order(records)
        assert self.stats().dropped == {}
        return records

    def statuses(self) -> list[str]:
        return [record.status for record in self.records()]


def check_order(records: list[Record]) -> None:
    """Every record has an id of its own, and the outcome of a step comes after its beginning, which it states."""
    assert len({record.id for record in records}) == len(records)
    began: dict[tuple[str, str], Record] = {}
    for record in records:
        span = (record.trace_id, record.span_id)
        if record.status == "running":
            assert span not in began
            began[span] = record
        elif record.started_at is not None and span in began:
            start = began[span]
            assert (start.flow_key, start.run_id, start.step_key) == (record.flow_key, record.run_id, record.step_key)
            assert record.started_at == start.timestamp
            assert moment(start.timestamp) <= moment(record.timestamp)
    outcomes = Counter((record.trace_id, record.span_id) for record in records if record.status != "running")
    assert all(count == 1 for count in outcomes.values())
