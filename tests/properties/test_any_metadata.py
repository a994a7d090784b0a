"""Whatever stands in metadata, every record is valid and the application notices nothing."""

from typing import Any

from hypothesis import given
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from tests.properties.hostile import Given, anything, metadata
from tests.properties.tape import Tape, properties

LIMITED = TracerProvider(span_limits=SpanLimits(max_span_attributes=8, max_attribute_length=5), shutdown_on_exit=False)
PLAIN = TracerProvider(shutdown_on_exit=False)


def record_all_kinds(tape: Tape, of_run: Given, of_step: Given, late: Given) -> None:
    run = tape.run("checkout", metadata=of_run.value)
    value = object()
    assert run.step("function", lambda: value, metadata=of_step.value) is value
    step = run.step("block")
    step.set_metadata(of_step.value)
    with step:
        step.set_metadata(late.value)
        step.set_metadata(x=late.value)
    run.skip("skip", metadata=of_step.value)
    tape.record_step(flow_key="checkout", run_id="by hand", step_key="hand", status="success", metadata=late.value)


KINDS = ["running", "success", "running", "success", "skipped", "success"]


@properties(80)
@given(metadata, metadata, metadata)
def test_every_record_is_valid_and_there(of_run: Given, of_step: Given, late: Given) -> None:
    tape = Tape()
    record_all_kinds(tape, of_run, of_step, late)
    assert tape.statuses() == KINDS


@properties(40)
@given(metadata, metadata, metadata)
def test_every_record_is_valid_by_way_of_a_hosts_spans(of_run: Given, of_step: Given, late: Given) -> None:
    for provider in (PLAIN, LIMITED):
        tape = Tape(provider=provider)
        record_all_kinds(tape, of_run, of_step, late)
        assert tape.statuses() == KINDS


@properties(60)
@given(metadata, metadata, anything, metadata)
def test_every_record_is_valid_with_default_metadata_and_whatever_redact_returns(
    of_run: Given, of_step: Given, redacted: Given, default: Given
) -> None:
    def redact(key: str, value: Any) -> object:
        return redacted.value if len(key) % 2 else value

    tape = Tape(redact=redact, default_metadata=default.value if type(default.value) is dict else {"k": "v"})
    record_all_kinds(tape, of_run, of_step, of_step)
    assert tape.statuses() == KINDS
