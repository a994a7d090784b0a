"""Whatever the clocks do during a step: its span, its record and its duration say the same."""

from datetime import timedelta
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.clocks import Clocks
from tests.properties.tape import Tape, properties
from tests.schema import moment

_MICRO: Final = 10**6


@properties(100)
@given(st.integers(0, 10**12), st.integers(-(10**15), 10**15) | st.integers(-2 * _MICRO, 2 * _MICRO))
@example(0, _MICRO)
@example(0, -_MICRO)
@example(0, _MICRO + 1)
@example(2 * _MICRO, -_MICRO - 1)
def test_span_record_and_duration_agree_however_the_clock_is_set_during_a_step(lasts: int, jump: int) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tape = Tape(provider=provider)
    with pytest.MonkeyPatch.context() as patch:
        clocks = Clocks(patch)
        tape.run("checkout").step("pack", lambda: clocks.pass_by(lasts / _MICRO, jump / _MICRO))
    running, success = tape.records()
    [span] = exporter.get_finished_spans()
    assert span.start_time is not None
    assert span.end_time is not None
    duration = lasts if abs(jump) > _MICRO else max(lasts + jump, 0)
    assert (span.end_time - span.start_time) // 1000 == duration
    assert moment(success.timestamp) - moment(running.timestamp) == timedelta(microseconds=duration)
    assert success.started_at == running.timestamp
    assert success.duration_ms == duration / 1000
