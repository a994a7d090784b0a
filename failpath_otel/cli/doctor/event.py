"""The test event of ``doctor --send``."""

import os
from time import time_ns
from typing import Final

from failpath_otel._version import __version__
from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.records.process import read_process
from failpath_otel.records.record import Record, record_id, rfc3339

_STEP_KEY: Final = "test-event"
_STATUS: Final = "success"


def new_test_event(*, with_process: bool) -> Record:
    """Return an event of a run of its own."""
    now = time_ns()
    trace_id, span_id = os.urandom(16).hex(), os.urandom(8).hex()
    return Record(
        id=record_id(trace_id, span_id, _STATUS, now),
        flow_key=TEST_FLOW,
        run_id=f"doctor-{trace_id[:12]}",
        step_key=_STEP_KEY,
        status=_STATUS,
        timestamp=rfc3339(now),
        trace_id=trace_id,
        span_id=span_id,
        metadata={"failpath_otel": __version__},
        process=read_process() if with_process else None,
    )
