"""A host whose sampler, span processor, exporter or tracer raises: the application never notices."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import NoOpTracerProvider, Tracer
from opentelemetry.trace import TracerProvider as ApiTracerProvider

from failpath_otel import Failpath
from tests.recording import FLOW, Recording, outcome, recording_with
from tests.steps.forms import FORMS, Form


class RaisingStart(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise RuntimeError("start")


class RaisingEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("end")


class RaisingSampler(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        raise RuntimeError("sample")

    def get_description(self) -> str:
        return "raises"


class RaisingExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("export")


class RaisingTracer(Tracer):
    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("tracer")

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("tracer")


class RaisingProvider(ApiTracerProvider):
    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        return RaisingTracer()


def sdk(processor: SpanProcessor | None = None, sampler: Sampler = ALWAYS_ON) -> TracerProvider:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    return provider


HOSTS: dict[str, Callable[[], ApiTracerProvider]] = {
    "a processor's on_start": lambda: sdk(RaisingStart()),
    "a processor's on_end": lambda: sdk(RaisingEnd()),
    "an exporter": lambda: sdk(SimpleSpanProcessor(RaisingExporter())),
    "a sampler": lambda: sdk(sampler=RaisingSampler()),
    "a tracer": RaisingProvider,
    "nothing, it samples nothing": lambda: sdk(sampler=ALWAYS_OFF),
    "nothing, it is a no-op": NoOpTracerProvider,
}


@pytest.fixture(params=HOSTS.values(), ids=[f"{name} raises" for name in HOSTS])
def failpath(request: pytest.FixtureRequest) -> Iterator[Failpath]:
    provider: ApiTracerProvider = request.param()
    yield Failpath(tracer_provider=provider)
    if isinstance(provider, TracerProvider):
        provider.shutdown()


every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@every_form
def test_the_function_runs_once_and_its_value_passes(failpath: Failpath, form: Form) -> None:
    value, calls = object(), []

    def body() -> object:
        calls.append(1)
        return value

    assert form(failpath, failpath.run(FLOW), "pack", body) is value
    assert calls == [1]


@every_form
def test_the_function_runs_once_and_its_exception_passes(failpath: Failpath, form: Form) -> None:
    error, calls = ValueError("no"), []

    def body() -> None:
        calls.append(1)
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        form(failpath, failpath.run(FLOW), "pack", body)

    assert caught.value is error
    assert error.__context__ is None
    assert calls == [1]


def test_a_run_a_skip_and_a_record_by_hand_raise_nothing(failpath: Failpath) -> None:
    with failpath.run(FLOW) as run:
        run.skip("wrap")
        with run.step("pack") as step:
            step.set_metadata(a=1)
    failpath.record_step(flow_key=FLOW, run_id=run.run_id, step_key="send", status="error", error="no")


def test_other_processors_still_see_a_step_whose_end_one_of_them_spoils() -> None:
    with recording_with() as recording:
        recording.provider.add_span_processor(RaisingEnd())
        recording.run().step("pack", lambda: None)

        assert outcome(recording.only()) == "success"


def test_a_flush_says_what_the_provider_says(recording: Recording) -> None:
    class Never(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return False

    before = recording.failpath.flush()
    recording.provider.add_span_processor(Never())

    assert (before, recording.failpath.flush(timeout=0.1), recording.failpath.shutdown()) == (True, False, False)
